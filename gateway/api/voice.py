"""How a request is read, and its replies and errors are worded: in OpenAI's chat completions,
unless its endpoint speaks another dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from gateway.api.http import Headers, Scope, header
from gateway.api.multipliers import check_parts
from gateway.api.wire import parse
from gateway.core.chat import ChatRequest, Delta
from gateway.core.errors import BadRequest, GatewayError
from gateway.core.money import Usage
from gateway.core.native import NativeRequest
from gateway.core.outcome import Outcome
from gateway.core.room import Caps
from gateway.dialects.dialect import Dialect, Telling

_LONGEST_HEADER = 2048


def read_request(
    dialect: Dialect | None, scope: Scope, body: dict[str, Any], caps: Caps
) -> ChatRequest:
    """Read a request. Raises BadRequest naming the field and what it must be."""
    check_parts(dialect.api if dialect else "", body, caps)
    if dialect is None:
        return parse(body, caps)
    request = dialect.read(body, _own_headers(dialect, scope))
    return ChatRequest(parse(dict(request.body), caps).body, request.native)


def resting(request: ChatRequest, native: NativeRequest, kept_at: str, key: str) -> ChatRequest:
    """Return a request, `native` as it came, that goes on from what the upstream `kept_at` keeps.

    Raises BadRequest for a conversation, where keys tell clients apart: it lies with the upstream
    under one account, and whose it is is not known there.
    """
    if key and "conversation" in native.only:
        raise BadRequest(
            "conversation is not served to clients with keys: those that an upstream keeps are not "
            "told apart by key. Use previous_response_id, or send the conversation as input items.",
            param="conversation",
            code="state_not_kept_by_key",
        )
    return ChatRequest(request.body, replace(native, kept_at=kept_at)) if kept_at else request


def _own_headers(dialect: Dialect, scope: Scope) -> dict[str, str]:
    found = {name: header(scope, name.encode()) for name in dialect.headers}
    told = {name: value for name, value in found.items() if value}
    for name, value in told.items():
        if len(value) > _LONGEST_HEADER or not (value.isascii() and value.isprintable()):
            raise BadRequest(f"The header {name} must be printable text.", param=name)
    return told


def wire_bytes(delta: Delta) -> bytes:
    """Return a delta's JSON: as it came, unless it was edited."""
    return orjson.dumps(delta.payload) if delta.raw is None else delta.raw


class Voice:
    """Words one request's replies. `telling` words a stream's deltas; None where each is an event
    as it is."""

    def __init__(self, dialect: Dialect | None, request: ChatRequest, request_id: str) -> None:
        """`request_id` is what the client knows it by."""
        self._dialect, self._request, self._request_id = dialect, request, request_id
        self.telling: Telling | None = None
        if dialect is not None and request.stream:
            self.telling = dialect.stream(request)

    def plain(self, deltas: Sequence[Delta], outcome: Outcome) -> bytes:
        """Write a whole reply."""
        if self._dialect is None:
            if len(deltas) == 1:  # nearly always
                return wire_bytes(deltas[0])
            return b"".join(wire_bytes(delta) for delta in deltas)
        return self._dialect.plain(deltas[0], self._request, used(outcome))

    def error(self, error: GatewayError) -> Mapping[str, Any]:
        """Return an error as the body of an answer."""
        return error_body(self._dialect, error, self._request_id)


CHAT = Voice(None, ChatRequest({}), "")
"""The voice of every request that came as a chat: it has nothing to put into other words."""


def error_body(dialect: Dialect | None, error: GatewayError, request_id: str) -> Mapping[str, Any]:
    """Return an error in a dialect's shape."""
    return error.body() if dialect is None else dialect.error(error, request_id)


def id_headers(dialect: Dialect | None, request_id: str) -> Headers:
    """Return the header beside x-request-id in which a dialect's SDKs look for a request's id."""
    if dialect is None or not dialect.id_header:
        return []
    return [(dialect.id_header.encode(), request_id.encode())]


def used(outcome: Outcome) -> Usage:
    """What the call that served has used."""
    served = outcome.served
    if served is not None and served.said_again is not None:
        return served.said_again
    return served.calls[-1].usage if served is not None and served.calls else Usage()
