"""Anthropic's Messages as a wire: calls written in it, replies and events read from it."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from gateway.core.chat import Delta
from gateway.core.money import Usage
from gateway.core.native import NativeEvent
from gateway.core.ports import UpstreamCall
from gateway.dialects.messages.read_reply import Events, NotMessages, plain_payload
from gateway.dialects.messages.write_request import merge_native, write_request
from gateway.upstreams.failures import nonsense
from gateway.upstreams.speaking import Speech
from gateway.upstreams.usage import ANTHROPIC, read_usage
from gateway.upstreams.wire import json_object, pieces_of

_VERSION = b"anthropic-version: 2023-06-01\r\n"
"""Of the API: the only one there has been since."""


def _write(call: UpstreamCall) -> tuple[bytes, bytes]:
    native = call.native
    if native is not None:
        headers = "".join(f"{name}: {value}\r\n" for name, value in native.headers.items())
        return orjson.dumps(merge_native(native, call.body)), _VERSION + headers.encode()
    body, dropped = write_request(call.body)
    if dropped:
        call.on_dropped(dropped)
    return orjson.dumps(body), _VERSION


COUNT_PATH = "/messages/count_tokens"
_OF_A_REPLY = {"max_tokens", "stream"}
_COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config")


def counting(call: UpstreamCall) -> tuple[bytes, bytes]:
    """Write a call that only counts its prompt's tokens, and the headers that it needs."""
    body, headers = _write(call)
    asked = orjson.loads(body)
    known = _COUNTED if call.native is None else call.native.body.keys() - _OF_A_REPLY
    return orjson.dumps({name: asked[name] for name in asked if name in known}), headers


def counted(told: bytes) -> int:
    """Read what was counted. Raises UpstreamDown(kind="bad_response")."""
    count = json_object(told).get("input_tokens")
    if type(count) is not int or count < 0:
        raise nonsense("it has no input_tokens")
    return count


def _plain(raw: bytes, call: UpstreamCall) -> Delta:
    message = json_object(raw)
    try:
        payload = plain_payload(message, _now())
    except NotMessages as error:
        raise nonsense(str(error)) from error
    native = NativeEvent("messages", "", raw, payload) if call.native is not None else None
    usage = read_usage(message.get("usage"), ANTHROPIC)
    return Delta(pieces_of(payload, "message"), usage, None, payload, native)


class _Reader:
    __slots__ = ("_events", "_keep", "_strip_usage", "ended", "last")

    def __init__(self, call: UpstreamCall) -> None:
        self._events = Events(_now())
        self._keep, self._strip_usage = call.native is not None, call.strip_usage
        self.ended = False
        self.last: Delta | None = None

    def read(self, data: bytes) -> Delta | None:
        event = json_object(data)
        kind = event.get("type")
        try:
            payload = self._events.chunk(event)
        except NotMessages as error:
            raise nonsense(str(error)) from error
        self.ended = self._events.ended
        usage: Usage | None = None
        if kind == "message_delta":
            usage = read_usage(self._events.usage, ANTHROPIC)
        if payload is None or (self.ended and self._strip_usage):
            return self._silent(kind, data)
        native = NativeEvent("messages", str(kind), data, payload) if self._keep else None
        return Delta(pieces_of(payload, "delta"), usage, None, payload, native)

    def _silent(self, kind: object, data: bytes) -> Delta | None:
        """An event of which a chat hears nothing; whoever speaks Messages does."""
        if not self._keep or not isinstance(kind, str):
            return None
        delta = Delta()
        return Delta(
            native=NativeEvent("messages", kind, data, delta.payload), payload=delta.payload
        )


def _now() -> int:
    return int(datetime.now(tz=UTC).timestamp())


MESSAGES = Speech("/messages", _write, _plain, _Reader)
