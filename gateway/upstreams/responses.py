"""OpenAI's Responses as a wire: calls written in it, replies and events read from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.core.chat import Delta
from gateway.core.errors import UpstreamError
from gateway.core.native import NativeEvent
from gateway.core.ports import UpstreamCall
from gateway.dialects.responses.read_reply import (
    Events,
    NotResponses,
    failure_of,
    plain_payload,
)
from gateway.dialects.responses.write_request import merge_native, write_request
from gateway.upstreams.failures import in_payload, nonsense
from gateway.upstreams.speaking import Speech
from gateway.upstreams.usage import RESPONSES as USED
from gateway.upstreams.usage import read_usage
from gateway.upstreams.wire import json_object, pieces_of


def _write(call: UpstreamCall) -> tuple[bytes, bytes]:
    if call.native is not None:
        return orjson.dumps(merge_native(call.native, call.body)), b""
    body, dropped = write_request(call.body)
    if dropped:
        call.on_dropped(dropped)
    return orjson.dumps(body), b""


def _failed(response: Mapping[str, Any]) -> UpstreamError | None:
    error = failure_of(response)
    return None if error is None else in_payload({"error": error})


def _object(raw: bytes) -> dict[str, Any]:
    """Parse a response, or an event: whose `error` is null where nothing is wrong."""
    payload = json_object(raw)
    failed = _failed(payload)
    if failed is not None:
        raise failed
    return payload


def _plain(raw: bytes, call: UpstreamCall) -> Delta:
    response = _object(raw)
    try:
        payload = plain_payload(response)
    except NotResponses as error:
        raise nonsense(str(error)) from error
    native = NativeEvent("responses", "", raw, payload) if call.native is not None else None
    usage = read_usage(response.get("usage"), USED, response.get("service_tier"))
    return Delta(pieces_of(payload, "message"), usage, None, payload, native)


class _Reader:
    __slots__ = ("_events", "_keep", "_strip_usage", "ended", "last")

    def __init__(self, call: UpstreamCall) -> None:
        self._events = Events()
        self._keep, self._strip_usage = call.native is not None, call.strip_usage
        self.ended = False
        self.last: Delta | None = None

    def read(self, data: bytes) -> Delta | None:
        event = json_object(data)
        kind = str(event.get("type"))
        if kind in {"error", "response.failed"}:
            told = event if kind == "error" else event.get("response") or {}
            failed = in_payload({"error": told}) if kind == "error" else _failed(told)
            raise failed or nonsense("its response failed")
        try:
            payload = self._events.chunk(event)
        except NotResponses as error:
            raise nonsense(str(error)) from error
        self.ended = self._events.ended
        usage = None
        if self.ended:
            usage = read_usage(self._events.usage, USED, self._events.service)
            if not (self._strip_usage or self._keep):
                self.last = Delta(raw=None, payload=self._events.usage_chunk())
        if payload is None:
            return self._silent(kind, data)
        native = NativeEvent("responses", kind, data, payload) if self._keep else None
        return Delta(pieces_of(payload, "delta"), usage, None, payload, native)

    def _silent(self, kind: str, data: bytes) -> Delta | None:
        """An event of which a chat hears nothing; whoever speaks Responses does."""
        if not self._keep:
            return None
        delta = Delta()
        native = NativeEvent("responses", kind, data, delta.payload)
        return Delta(native=native, payload=delta.payload)


RESPONSES = Speech("/responses", _write, _plain, _Reader)
