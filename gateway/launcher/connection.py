"""A client's connection: uvicorn's, bounded in how large a request's head may grow and in how long
its head and body may take to arrive.

A request that arrives in one read costs it nothing but a few marks; what is looked at and timed is
a request that is not all there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.api.sending import WRITE, Write
from gateway.core.arrival import HeadTooLarge, TooSlow, UrlTooLong
from gateway.core.errors import BadRequest, GatewayError

RATE: Final = 500
"""Bytes a second, of a body: less, over all its time but the first `wait`, is a way to stay."""
_LINGER: Final = 1.0
"""Seconds for which what still comes is thrown away after an error. A close with bytes unread would
reset the connection, and the client might never read what was wrong."""
_THROWN_AWAY: Final = 1_048_576
"""Bytes of it, at most."""
_NONE, _HEAD, _BODY = range(3)
"""What there is a part of: of no request, of a head, of a body."""
_NEW: Final = -1


def _writer(transport: asyncio.Transport, flow: FlowControl) -> Write:
    """Return what writes a part of a body in chunks, as uvicorn's `send` does, but in that call."""

    def write(part: bytes) -> bool:
        if flow.write_paused:
            return False
        if not transport.is_closing():  # else nobody is there, and their request hears of it
            transport.write(b"%x\r\n%b\r\n" % (len(part), part))
        return True

    return write


def _untold(_: GatewayError) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a request: bytes of its head and its URL, and how many headers; seconds that the head may
    take, and that a body may be silent. `turned_away` hears of each that is cut, and returns the id
    that it is known by, if any."""

    head: int = 65_536
    url: int = 32_768
    headers: int = 256
    wait: float = 30.0
    turned_away: Callable[[GatewayError], str] = _untold


BOUNDS: Final = Bounds()
"""The defaults."""


class Config(uvicorn.Config):
    """uvicorn's, and our bounds."""

    bounds = BOUNDS


class Connection(HttpToolsProtocol):
    """One that is cut when it breaks a bound. At most one timer, while a request is not whole."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """As uvicorn makes it; the bounds are its configuration's, where that has any."""
        super().__init__(config, server_state, app_state, _loop)
        self._bounds = config.bounds if isinstance(config, Config) else BOUNDS
        self._part = _NONE
        self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self._fault: GatewayError | None = None
        self._read = 0  # bytes, in the latest read
        self._brought = False  # did it bring some of a body?
        self._size = _NEW  # bytes: of the head before; of a body's, those that brought none of it
        self._began = self._latest = 0.0  # the loop's time: of this part, and of its latest bytes
        self._got = 0  # bytes of this part since it began
        self._held = False  # was it we who did not read?

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; a client that says nothing is let rest as one between two requests is."""
        super().connection_made(transport)
        self._extensions = {WRITE: _writer(transport, self.flow)}
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._over = True
        self._stop_timing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless the connection is over."""
        if self._over:
            self._got += len(data)
            if self._got > _THROWN_AWAY:
                self.transport.close()
            return
        self._read, self._brought = len(data), False
        HttpToolsProtocol.data_received(self, data)  # a super() costs more, here and below
        if self._part is _NONE:
            if self._timer is not None:
                self._stop_timing()
            if self._is_idle():
                self._rest()  # empty lines: uvicorn takes them for a request, and rests no more
        elif not self._over:
            self._check()

    def on_message_begin(self) -> None:
        """A request's first byte is here."""
        self._part, self._size = _HEAD, _NEW
        HttpToolsProtocol.on_message_begin(self)
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item] # not ASGI's own

    def on_headers_complete(self) -> None:
        """Its head is. Raises GatewayError, which the parser ends with, for one out of bounds."""
        bounds = self._bounds
        if (
            self._size != _NEW
            or self._read > bounds.head
            or len(self.headers) > bounds.headers
            or len(self.url) > bounds.url
        ):
            self._size = self._measure()
            self._fault = self._out_of_bounds()
            if self._fault is not None:
                raise self._fault
        HttpToolsProtocol.on_headers_complete(self)  # a URL that is none ends it here
        self._part, self._size = _BODY, _NEW

    def on_body(self, body: bytes) -> None:
        """Some of its body is."""
        self._brought = True
        HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        """All of it is."""
        self._part = _NONE
        HttpToolsProtocol.on_message_complete(self)

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser could not go on with."""
        del msg
        self._cut(self._fault or BadRequest("The request is not valid HTTP.", code="invalid_http"))

    def _rest(self) -> None:
        if not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _check(self) -> None:
        """Look at a request that is not all there: how much, since when."""
        now = self._latest = self.loop.time()
        if self._size == _NEW:
            self._began, self._got, self._held = now, 0, False
            self._size = self._measure() if self._part is _HEAD else 0
        elif self._part is _HEAD:
            self._size += self._read
        else:
            # Trailers and the extensions of chunks are no body, and nobody else counts them.
            self._size = 0 if self._brought else self._size + self._read
        self._got += self._read
        self._held = self._held or self.flow.read_paused
        fault = self._out_of_bounds()
        if fault is not None:
            self._cut(fault)
        elif self._timer is None:
            self._timer = self.loop.call_later(self._bounds.wait, self._look)

    def _measure(self) -> int:
        """Count what is known of a head, in bytes: all but a header that is not all there."""
        fields = sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)
        return len(self.url) + fields

    def _out_of_bounds(self) -> GatewayError | None:
        bounds = self._bounds
        if len(self.url) > bounds.url:
            return UrlTooLong(f"The request's URL is over {bounds.url} bytes.")
        if len(self.headers) > bounds.headers:
            return HeadTooLarge(f"The request has over {bounds.headers} headers.")
        if self._size > bounds.head:
            return HeadTooLarge(f"The request's headers are over {bounds.head} bytes.")
        return None

    def _look(self) -> None:
        """Cut a request whose time is up; else look again when it may be."""
        self._timer = None
        now, wait = self.loop.time(), self._bounds.wait
        if self._held or not self._answerable():
            # We did not read it, or were busy with the one before: its time begins now.
            self._began = self._latest = now
            self._got, self._held = 0, self.flow.read_paused
        due = self._began + wait
        if self._part is _BODY:
            due = min(self._latest + wait, due + self._got / RATE)
        if now < due:
            self._timer = self.loop.call_later(due - now, self._look)
            return
        what = "head" if self._part is _HEAD else "body"
        self._cut(TooSlow(f"The request's {what} did not arrive in time (server.read_timeout)."))

    def _answerable(self) -> bool:
        """Would an error be read as this request's answer, and not as one before's?"""
        if self._part is not _BODY:
            return self._is_idle()
        return not (self.cycle.response_started or self.pipeline)

    def _is_idle(self) -> bool:
        # uvicorn's first cycle is None, and not said to be.
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    def _cut(self, error: GatewayError) -> None:
        """Answer with an error where one can be told; close."""
        self._over = True
        self._stop_timing()
        self._unset_keepalive_if_required()
        known_as = self._bounds.turned_away(error)
        if self.transport.is_closing() or not self._answerable():
            self.transport.close()
            return
        self.transport.write(self._answer(error, known_as))
        if self._part is _BODY:  # whoever waits for it hears that its client has gone
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._got = 0
        self.transport.write_eof()
        self.flow.resume_reading()
        self._timer = self.loop.call_later(_LINGER, self.transport.close)

    def _answer(self, error: GatewayError, known_as: str) -> bytes:
        body = orjson.dumps(error.body())
        told = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *([(b"x-request-id", known_as.encode())] if known_as else []),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % each for each in told)
        return b"%b%b\r\n%b" % (STATUS_LINE[error.status], lines, body)

    def _stop_timing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
