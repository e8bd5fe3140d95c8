"""A client's dialect: how its requests are read, and how replies and errors are told in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.core.chat import ChatRequest, Delta
from gateway.core.errors import GatewayError
from gateway.core.money import Usage


class Telling(Protocol):
    """Tells one stream. What it returns are the bytes of whole events, or none."""

    def feed(self, delta: Delta) -> bytes:
        """Tell one delta of the served reply."""
        ...

    def end(self, usage: Usage) -> bytes:
        """Tell the end of a reply; `usage` is what was used, where no delta has said it."""
        ...

    def fail(self, error: GatewayError) -> bytes:
        """Tell that the stream has broken, and end it."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """`api` is what the ledger calls it. `read` takes a body and those of a request's headers that
    `headers` names, and raises BadRequest; `error` takes an error and the request's id; `plain` a
    whole reply, whose request it answers, and what was used; `stream` begins a reply to a request.
    `id_header` is where its SDKs look for a request's id, beside x-request-id."""

    api: str
    read: Callable[[Mapping[str, Any], Mapping[str, str]], ChatRequest]
    error: Callable[[GatewayError, str], Mapping[str, Any]]
    plain: Callable[[Delta, ChatRequest, Usage], bytes]
    stream: Callable[[ChatRequest], Telling]
    headers: tuple[str, ...] = ()
    id_header: str = ""


def sse(name: str, data: bytes) -> bytes:
    """Write one event of a stream."""
    lines = data.replace(b"\r", b"").replace(b"\n", b"\ndata: ")
    return b"event: %b\ndata: %b\n\n" % (name.encode(), lines)
