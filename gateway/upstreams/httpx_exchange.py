"""One request and its reply over httpx, with the limits and the errors of our own client."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from gateway.upstreams.http1 import (
    Broken,
    ConnectFailed,
    HttpError,
    Sink,
    TimedOut,
    Timeouts,
    TooLarge,
)
from gateway.upstreams.http1.dial import NONE_LEFT
from gateway.upstreams.http1.errors import ConnectFault, Phase
from gateway.upstreams.http1.timeouts import Clock

if TYPE_CHECKING:
    from gateway.upstreams.through_httpx import HttpxPool, Line

_FAULTS: tuple[type[Exception], ...] = (httpx.HTTPError, httpx.StreamError)
try:
    from h2.exceptions import H2Error
except ModuleNotFoundError:  # then nobody speaks HTTP/2
    pass
else:
    _FAULTS += (H2Error,)  # httpx lets some of them through as they are


class HttpxExchange:
    """Entering sends the request and waits for the head of the reply; leaving before the reply is
    complete closes the connection at once. Fits `http_port.Exchange`.

    Raises (entering and reading) ConnectFailed, Broken, TooLarge, TimedOut: all HttpError.
    """

    def __init__(
        self,
        pool: HttpxPool,
        request: httpx.Request,
        timeouts: Timeouts,
        on_sent: Callable[[], None] | None,
    ) -> None:
        """Nothing is sent yet."""
        self._pool, self._request = pool, request
        self._timeouts, self._on_sent = timeouts, on_sent
        self._line: Line | None = None
        self._clock: Clock | None = None
        self._blocks: AsyncIterator[bytes] | None = None
        self._reply: httpx.Response | None = None
        self._limit: asyncio.Timeout | None = None
        self._size = 0
        self._done = self._is_cut = False
        self.status = 0
        self.headers: Mapping[bytes, bytes] = {}

    async def read(self) -> bytes:
        """The next part of the body; b"" means that the reply is complete."""
        if self._reply is None or self._clock is None or self._blocks is None:
            raise RuntimeError("the exchange was not entered")
        if self._done:
            return b""
        if self._is_cut:
            raise self._overdue("total")
        now = asyncio.get_running_loop().time
        if self._clock.last:
            self._clock.last = now()  # until here it was we who were not listening
        try:
            async with asyncio.timeout_at(self._clock.due()) as self._limit:
                block = await self._next()
        except TimeoutError:
            raise self._overdue(self._clock.phase()) from None
        except _FAULTS as error:
            raise Broken(f"the connection was lost: {type(error).__name__}") from error
        finally:
            self._limit = None
        self._size += len(block)
        if self._size > self._pool.max_body:
            raise TooLarge("a longer body than allowed")
        self._clock.last = now()
        return block

    async def pour(self, sink: Sink) -> None:
        """Hand the body to `sink` as it comes, until that says False or nothing more will come."""
        while (block := await self.read()) and sink([block]):
            pass

    async def read_all(self) -> bytes:
        """The whole rest of the body."""
        blocks = []
        while block := await self.read():
            blocks.append(block)
        return b"".join(blocks)

    async def __aenter__(self) -> Self:
        total_at = asyncio.get_running_loop().time() + self._timeouts.total
        self._line = await self._pool.acquire(total_at)
        self._pool.entered(self)
        try:
            await self._send(self._line, total_at)
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    async def _send(self, line: Line, total_at: float) -> None:
        loop = asyncio.get_running_loop()
        connect_at = loop.time() + self._timeouts.connect
        limit = self._limit = asyncio.timeout_at(min(connect_at, total_at))

        async def hear(event: str, info: dict[str, Any]) -> None:
            # CONNECT is the proxy's: the request itself leaves once the tunnel stands.
            if not event.endswith(".send_request_headers.started"):
                return
            if info["request"].method != b"CONNECT":
                if self._on_sent is not None:
                    self._on_sent()
                self._clock = Clock(self._timeouts, total_at, loop.time())
                limit.reschedule(self._clock.due())

        self._request.extensions["trace"] = hear
        try:
            async with limit:
                self._reply = await line.transport.handle_async_request(self._request)
        except TimeoutError:
            early: Phase = "connect" if connect_at <= total_at else "total"
            phase = self._clock.phase() if self._clock is not None else early
            raise self._overdue(phase) from None
        except _FAULTS as error:
            raise self._translated(error) from error
        finally:
            self._limit = None
        self._take_head(self._reply)

    def _take_head(self, reply: httpx.Response) -> None:
        headers: dict[bytes, bytes] = {}
        for name, value in reply.headers.raw:
            name = name.lower()  # noqa: PLW2901
            known = headers.get(name)
            headers[name] = value if known is None else b"%b, %b" % (known, value)
        self.status, self.headers = reply.status_code, headers
        if self.status == 407 and self._pool.asks_proxy:
            raise ConnectFailed("proxy", "407")
        coding = headers.get(b"content-encoding", b"identity").lower()
        if coding != b"identity" and self.status < 300:
            raise Broken("encoded reply")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._pool.max_body:
            raise TooLarge("a longer body than allowed")
        if not isinstance(reply.stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport replies with an asynchronous stream")
        self._blocks = aiter(reply.stream)

    async def _next(self) -> bytes:
        """The next block that is not empty, b"" at the end."""
        assert self._blocks is not None  # noqa: S101 - for the reader of types
        async for block in self._blocks:
            if block:
                return block
        assert self._reply is not None  # noqa: S101
        await self._reply.aclose()
        self._done = True
        return b""

    def _leave(self) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        self._pool.left(self)
        if self._done:
            self._pool.put_back(line)
        else:
            self._pool.drop(line)
        self._pool.release()

    def cut(self) -> None:
        """End it from outside: its pool is being closed."""
        self._is_cut = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0.0)

    def _overdue(self, phase: Phase) -> HttpError:
        return ConnectFailed("closed", "the pool is closed") if self._is_cut else TimedOut(phase)

    def _translated(self, error: Exception) -> HttpError:
        if isinstance(error, httpx.ProxyError):
            return ConnectFailed("proxy", str(error)[:3])  # its status; the rest is in its words
        if self._clock is None:
            return ConnectFailed(_fault(error, by_proxy=self._pool.by_proxy), type(error).__name__)
        return Broken(f"the connection was lost: {type(error).__name__}")


def _fault(error: Exception, *, by_proxy: bool) -> ConnectFault:
    for each in _causes(error):
        if isinstance(each, socket.gaierror):
            return "dns"
        if isinstance(each, ConnectionRefusedError):
            return "refused"
        if isinstance(each, ssl.SSLError):
            return "tls"
        if isinstance(each, OSError) and each.errno in NONE_LEFT:
            return "sockets"
    return "network" if isinstance(error, httpx.ConnectError) or not by_proxy else "proxy"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What led to an error, through groups too, each once: they may lead back to themselves."""
    left, seen = [error], set[int]()
    while left:
        each = left.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions
        left += [led for led in (each.__cause__, each.__context__) if led is not None]
