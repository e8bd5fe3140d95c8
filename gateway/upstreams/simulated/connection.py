"""One client's connection to the simulated server: HTTP/1.1 in, staged replies out, in time."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import httptools

from gateway.upstreams.simulated import framing
from gateway.upstreams.simulated.log import Line
from gateway.upstreams.simulated.provider import Provider
from gateway.upstreams.simulated.refusals import error_body
from gateway.upstreams.simulated.show import Mark, Part, Show, Step, Wait

LARGEST_REQUEST = 64 * 1024 * 1024
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, its header names in lower case."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool


Answer = tuple[Show, Line] | bytes
"""A call's reply with its line in the log, or a ready answer to anything else."""


class Connection(asyncio.Protocol):
    """Reads requests, answers each in turn, and notices at once when the peer has gone."""

    def __init__(
        self,
        provider: Provider,
        answer: Callable[[Request], Answer],
        loop: asyncio.AbstractEventLoop,
        all_open: set[Connection],
    ) -> None:
        self._provider = provider
        self._answer = answer
        self._loop = loop
        self._all_open = all_open
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._url = b""
        self._steps: Iterator[Step | bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._wait: tuple[float, Wait] | None = None
        self._last_write = 0.0
        self.transport: asyncio.Transport

    # -------------------------------------------------------------- the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self.transport = cast("asyncio.Transport", transport)
        self._all_open.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError):
            self._refuse(400, "This is not HTTP that can be served.")

    def eof_received(self) -> None:
        """The peer will send no more: whoever asks for a reply and leaves does not want it."""
        self._left()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's name
        """The connection is gone."""
        self._left()
        self._all_open.discard(self)

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        self._paused = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._paused = False
        if self._timer is None and self._wait is None:
            self._go_on()

    # -------------------------------------------------------------- the parser

    def on_message_begin(self) -> None:
        """Start a request."""
        self._url, self._headers, self._body, self._size = b"", {}, [], 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._size += len(body)
        if self._size > LARGEST_REQUEST:
            self._refuse(413, "The body is too large.")
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer it, or let it wait for its turn."""
        request = Request(
            self._parser.get_method().decode(),
            self._url.partition(b"?")[0].decode("latin-1"),
            self._headers,
            b"".join(self._body),
            self._parser.should_keep_alive(),
        )
        self._waiting.append(request)
        if self._steps is None:
            self._next()

    # -------------------------------------------------------------- the replies

    def _next(self) -> None:
        while self._waiting and self._steps is None and not self.transport.is_closing():
            request = self._waiting.popleft()
            answer = self._answer(request)
            if isinstance(answer, bytes):
                self.transport.write(answer)
                if not request.keep_alive:
                    self.transport.close()
                continue
            self._begin(request, *answer)

    def _begin(self, request: Request, show: Show, line: Line) -> None:
        self._show, self._line, self._keep_alive = show, line, request.keep_alive
        self._last_write = self._loop.time()
        self._steps = iter(show.steps)
        if show.framing == "drip":
            self._steps = framing.dripped(show, keep_alive=request.keep_alive, named=line.id)
        self._go_on()

    def _go_on(self) -> None:
        """Write everything up to the next wait; called again after it."""
        self._timer = None
        self._note_wait()
        out: list[bytes] = []
        while self._steps is not None and not self._paused:
            step = next(self._steps)
            if isinstance(step, Part):
                self._line.tokens += step.tokens
                self._line.usage = step.usage or self._line.usage
                out.append(framing.frame(self._show, step) if step.data else b"")
            elif isinstance(step, bytes):
                out.append(step)
            elif step is Mark.HEAD:
                named = self._line.id
                out.append(framing.head(self._show, keep_alive=self._keep_alive, named=named))
            elif isinstance(step, Wait):
                if step.seconds > 0:
                    self._write(out)
                    self._sleep(step)
                    return
                self._line.tokens += step.tokens
            else:
                self._end(step, out)
                return
        self._write(out)

    def _write(self, out: list[bytes]) -> None:
        if out and not self.transport.is_closing():
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))
            self._last_write = self._loop.time()

    def _sleep(self, wait: Wait) -> None:
        self._wait = (self._loop.time(), wait)
        if wait.seconds < math.inf:
            self._timer = self._loop.call_later(wait.seconds, self._go_on)

    def _note_wait(self) -> None:
        """Count the tokens generated, unseen, in the wait that has just ended or been broken."""
        if self._wait is not None:
            began, wait = self._wait
            share = min((self._loop.time() - began) / wait.seconds, 1.0)
            self._line.tokens += wait.tokens if self._timer is None else int(wait.tokens * share)
            self._wait = None

    def _end(self, mark: Step, out: list[bytes]) -> None:
        if mark is Mark.END and self._show.framing != "drip":
            out.append(framing.tail(self._show))
        self._write(out)
        self._steps = None
        self._provider.finish(self._line)
        if mark is Mark.RESET:
            self._reset()
        elif mark is Mark.FIN or not self._keep_alive:
            self.transport.close()
        elif self._waiting:
            self._loop.call_soon(self._next)

    def _reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _left(self) -> None:
        """The peer has gone: stop, and write down what had been done for it by now."""
        if self._steps is None:
            return
        self._steps = None
        self._note_wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._provider.left(self._line, self._loop.time() - self._last_write)

    def _refuse(self, status: int, message: str) -> None:
        if self.transport.is_closing():
            return
        body = error_body(status, message)
        self.transport.write(framing.plain_answer(status, body, keep_alive=False))
        self.transport.close()
