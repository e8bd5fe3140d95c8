"""Connections through a proxy, or with HTTP/2: httpx behind the port that our own client fits.

Each connection is a transport of its own and carries one call at a time. httpx's pool looks through
all its connections for each call and loses places to those that are cancelled, and over HTTP/2 it
tells the server nothing of them; a transport that was left early is closed, and all is well.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from importlib.util import find_spec
from random import random

import httpx

from gateway.upstreams.http1 import ConnectFailed, Headers, TimedOut, Timeouts
from gateway.upstreams.http1.dial import default_context
from gateway.upstreams.http1.pool import origin
from gateway.upstreams.http1.request import request_head
from gateway.upstreams.http1.slots import Slots
from gateway.upstreams.httpx_exchange import HttpxExchange

INSTALL = "pip install 'waterfall-gateway[http2]'"


def speaks_http2() -> bool:
    """Is there what HTTP/2 takes? Asking does not load it."""
    return find_spec("h2") is not None


class Line:
    """One connection at most, for one call after another; it retires at a loop time."""

    __slots__ = ("retires_at", "timer", "transport")

    def __init__(self, transport: httpx.AsyncHTTPTransport, retires_at: float) -> None:
        self.transport, self.retires_at = transport, retires_at
        self.timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """It rests no longer."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class HttpxPool:
    """Exchanges with one origin, at most `limit` at a time; fits `http_port.Connections`.

    proxy: "http(s)://user:password@host:port", in which the two are percent-encoded. An https
        origin is reached by CONNECT, an http one by asking the proxy for it.
    http2: offer it to the origin, which may still choose HTTP/1.1.
    context: makes a client's TLS context, for the origin and for a proxy.
    max_body, idle_ttl, max_age: as `gateway.upstreams.http1.Pool` has them.

    Raises ValueError for a base_url that is not one.
    """

    def __init__(
        self,
        base_url: str,
        *,
        proxy: str | None = None,
        http2: bool = False,
        limit: int = 512,
        max_body: int = 64 * 1024 * 1024,
        context: Callable[[], ssl.SSLContext] = default_context,
        idle_ttl: float = 30.0,
        max_age: float = 300.0,
    ) -> None:
        host, port, self._host_header, self._prefix, secure = origin(base_url)
        scheme = "https" if secure else "http"
        self._place = httpx.URL(scheme=scheme, host=host, port=port)
        self._secure, self._http2 = secure, http2
        self._proxy = httpx.Proxy(proxy, ssl_context=_for(proxy, context)) if proxy else None
        self._context = context()
        self._max_body, self._idle_ttl, self._max_age = max_body, idle_ttl, max_age
        self._slots = Slots(limit)
        self._busy: set[HttpxExchange] = set()
        self._open: set[Line] = set()
        self._idle: list[Line] = []  # the last used last
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def open(self) -> int:
        """Connections that may exist."""
        return len(self._open)

    @property
    def idle(self) -> int:
        """Connections that wait for an exchange."""
        return len(self._idle)

    @property
    def busy(self) -> int:
        """Exchanges under way."""
        return self._slots.used

    @property
    def waiting(self) -> int:
        """Exchanges that wait for their turn."""
        return self._slots.waiting

    def exchange(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes,
        timeouts: Timeouts,
        on_sent: Callable[[], None] | None = None,
    ) -> HttpxExchange:
        """A request to be sent when the exchange is entered; `on_sent` is called in the instant
        before its first byte is. Raises ValueError for what could not be sent safely."""
        target = self._prefix + path
        head = request_head(self._host_header, method, target, headers, len(body))
        lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]
        request = httpx.Request(
            method,
            self._place.copy_with(raw_path=target.encode("ascii")),
            headers=[_pair(line) for line in lines],
            content=body,
        )
        return HttpxExchange(self, request, timeouts, on_sent)

    async def warm(self, count: int, timeouts: Timeouts) -> None:
        """Nothing: httpx connects for a call, and for nothing else."""

    async def aclose(self) -> None:
        """Cut every connection and send away all who wait; later calls raise ConnectFailed."""
        self._closed = True
        self._slots.refuse(_closed())
        for exchange in list(self._busy):
            exchange.cut()
        for line in list(self._open):
            self.drop(line)
        while self._closing:
            await asyncio.wait(self._closing)

    # ---------------------------------------------------------- for exchanges only

    @property
    def max_body(self) -> int:
        """Bytes of a reply's body."""
        return self._max_body

    @property
    def by_proxy(self) -> bool:
        """Does a proxy stand between?"""
        return self._proxy is not None

    @property
    def asks_proxy(self) -> bool:
        """Is it the proxy that answers, and not the origin through a tunnel?"""
        return self.by_proxy and not self._secure

    async def acquire(self, total_at: float) -> Line:
        """Wait for a turn, and take a connection; raises TimedOut at `total_at` (loop time)."""
        if self._closed:
            raise _closed()
        if not self._slots.take():
            try:
                async with asyncio.timeout_at(total_at):
                    await self._slots.wait()
            except TimeoutError:
                raise TimedOut("total") from None
        if not self._idle:
            return self._new()
        line = self._idle.pop()
        line.wake()
        return line

    def entered(self, exchange: HttpxExchange) -> None:
        """Know of an exchange that is under way."""
        self._busy.add(exchange)

    def left(self, exchange: HttpxExchange) -> None:
        """Forget it."""
        self._busy.discard(exchange)

    def release(self) -> None:
        """Give the turn back."""
        self._slots.give()

    def put_back(self, line: Line) -> None:
        """Keep a connection whose exchange ended cleanly, while it is young enough."""
        loop = asyncio.get_running_loop()
        until = min(loop.time() + self._idle_ttl, line.retires_at)
        if until <= loop.time() or line not in self._open:
            self.drop(line)
            return
        line.timer = loop.call_at(until, self.drop, line)
        self._idle.append(line)

    def drop(self, line: Line) -> None:
        """Cut a connection at once, without anybody waiting for it."""
        line.wake()
        if line in self._idle:
            self._idle.remove(line)
        if line in self._open:
            self._open.discard(line)
            task = asyncio.create_task(line.transport.aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _new(self) -> Line:
        transport = httpx.AsyncHTTPTransport(
            verify=self._context,
            http2=self._http2,
            proxy=self._proxy,
            trust_env=False,
            limits=httpx.Limits(max_connections=1, keepalive_expiry=self._idle_ttl),
        )
        age = self._max_age * (1.0 - random() / 5)  # noqa: S311 - nobody gains by guessing it
        line = Line(transport, asyncio.get_running_loop().time() + age)
        self._open.add(line)
        return line


def _pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b": ")
    return name, value


def _for(proxy: str, context: Callable[[], ssl.SSLContext]) -> ssl.SSLContext | None:
    return context() if proxy.startswith("https:") else None


def _closed() -> ConnectFailed:
    return ConnectFailed("closed", "the pool is closed")
