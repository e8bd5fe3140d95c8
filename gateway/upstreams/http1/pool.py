"""Connections to one origin, kept between exchanges and bounded in number."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from random import random
from urllib.parse import urlsplit

from gateway.upstreams.http1.connection import Connection
from gateway.upstreams.http1.dial import Dialler, ResumingContext, default_context
from gateway.upstreams.http1.errors import ConnectFailed, TimedOut
from gateway.upstreams.http1.exchange import Exchange
from gateway.upstreams.http1.reply import Reply
from gateway.upstreams.http1.request import Headers, request_head
from gateway.upstreams.http1.slots import Slots
from gateway.upstreams.http1.timeouts import Clock, Timeouts

_HOST = re.compile(r"[A-Za-z0-9._:-]+")


class Pool:
    """Exchanges with one origin, at most `limit` at a time; the rest wait in order.

    base_url: "http://host:8080" or "https://host/prefix"; a prefix goes before each path.
    limit: connections, busy and idle together.
    max_body: bytes of a reply's body.
    max_head: bytes of its head, with interim heads and trailers.
    ssl_context: for https; by default the system's authorities, host names verified.
    dns_ttl: seconds for which an address is believed.
    idle_ttl: seconds for which an idle connection is kept.
    max_age: seconds after which, or up to a fifth sooner, a connection is given no more exchanges,
        so that a name that has moved is followed however busy they are.

    Raises ValueError for a base_url that is not one.
    """

    def __init__(
        self,
        base_url: str,
        *,
        limit: int = 512,
        max_body: int = 64 * 1024 * 1024,
        max_head: int = 64 * 1024,
        ssl_context: ssl.SSLContext | None = None,
        dns_ttl: float = 30.0,
        idle_ttl: float = 30.0,
        max_age: float = 300.0,
    ) -> None:
        host, port, self._host_header, self._prefix, secure = origin(base_url)
        self._tls = (ssl_context or default_context()) if secure else None
        self._dialler = Dialler(host, port, self._tls, dns_ttl)
        self._limit = limit
        self._max_body = max_body
        self._max_head = max_head
        self._idle_ttl = idle_ttl
        self._max_age = max_age
        self._slots = Slots(limit)
        self._open: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # the last used last
        self._closed = False
        self._emptied = asyncio.Event()

    @property
    def open(self) -> int:
        """Connections whose socket exists."""
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
    ) -> Exchange:
        """A request to be sent when the exchange is entered.

        `on_sent` is called immediately before the first byte is handed to an established
        connection (again, when a stale one has to be replaced); between the two nothing awaits.
        Raises ValueError for a method, path or header that could not be sent safely.
        """
        head = request_head(self._host_header, method, self._prefix + path, headers, len(body))
        return Exchange(self, head, body, timeouts, on_sent, to_head=method == "HEAD")

    async def warm(self, count: int, timeouts: Timeouts) -> None:
        """Opens connections ahead of use, until `count` are idle or the limit is reached.

        Raises ConnectFailed and TimedOut as an exchange would.
        """
        now = asyncio.get_running_loop().time
        for _ in range(count):  # and no more: there are servers that close what is not used at once
            if self.idle >= count or self.busy + self.idle >= self._limit:
                return
            await self.acquire(now() + timeouts.connect)
            try:
                connection = await self.dial(timeouts.connect, now() + timeouts.connect)
                connection.rest(min(now() + self._idle_ttl, connection.retires_at))
                self._idle[connection] = None
            finally:
                self.release()

    async def aclose(self) -> None:
        """Cuts every connection and sends away all who wait; later calls raise ConnectFailed."""
        self._closed = True
        self._dialler.close()
        self._slots.refuse(_closed())
        for connection in list(self._open):
            connection.transport.abort()
        if self._open:
            await self._emptied.wait()

    # ---------------------------------------------------------- for exchanges only

    def take(self) -> bool:
        """Takes a slot if one is free. Raises ConnectFailed once the pool is closed."""
        if self._closed:
            raise _closed()
        return self._slots.take()

    async def acquire(self, total_at: float) -> None:
        """Takes a slot, in order of arrival; raises TimedOut at `total_at` (loop time)."""
        if self.take():
            return
        try:
            async with asyncio.timeout_at(total_at):
                await self._slots.wait()
        except TimeoutError:
            raise TimedOut("total") from None

    def release(self) -> None:
        """Gives the slot back."""
        self._slots.give()

    def rested(self) -> Connection | None:
        """The connection used last of those that are idle and alive."""
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.usable():
                return connection
            connection.transport.abort()
        return None

    async def dial(self, connect: float, total_at: float) -> Connection:
        """A new connection for the holder of a slot.

        No count is needed here: a slot stands for at most one connection, and whoever takes one
        takes an idle connection first, so that busy and idle together never pass the limit.
        """
        connect_at = asyncio.get_running_loop().time() + connect
        try:
            connection = await self._dialler.connect(
                self._new_connection, min(connect_at, total_at)
            )
        except TimeoutError:
            raise TimedOut("connect" if connect_at <= total_at else "total") from None
        if self._closed:
            connection.transport.abort()
            raise _closed()
        if connection.transport.is_closing():  # accepted and dropped: no one would tell the reply
            raise ConnectFailed("network", "closed as soon as it was made")
        # Not all at the same moment, which would be felt.
        age = self._max_age * (1.0 - random() / 5)  # noqa: S311 - nobody gains by guessing it
        connection.retires_at = asyncio.get_running_loop().time() + age
        # Not before: of a connection cancelled while it is made, uvloop never reports the loss.
        self._open.add(connection)
        return connection

    def reply(self, clock: Clock, *, to_head: bool) -> Reply:
        """A reply under this pool's caps."""
        return Reply(clock, to_head=to_head, max_head=self._max_head, max_body=self._max_body)

    def put_back(self, connection: Connection) -> None:
        """Keeps the connection if its exchange ended cleanly, and cuts it otherwise."""
        if not connection.exchanges and isinstance(self._tls, ResumingContext):
            self._tls.remember(connection.transport)  # kept or not: one of each call resumes too
        now = asyncio.get_running_loop().time()
        if not connection.leave(min(now + self._idle_ttl, connection.retires_at)):
            return
        if connection.retires_at <= now:
            connection.transport.abort()
            return
        self._idle[connection] = None

    def _new_connection(self) -> Connection:
        return Connection(self._lost)

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)
        if self._closed and not self._open:
            self._emptied.set()


def _closed() -> ConnectFailed:
    return ConnectFailed("closed", "the pool is closed")


def origin(base_url: str) -> tuple[str, int, bytes, str, bool]:
    """Host, port, host header, path prefix and whether it is https; ValueError for what is none."""
    parts = urlsplit(base_url)
    secure = parts.scheme == "https"
    unwanted = parts.username or parts.password or parts.query or parts.fragment
    # The standard parser drops line ends without a word.
    clean = base_url.isprintable() and " " not in base_url
    if not clean or parts.scheme not in {"http", "https"} or not parts.hostname or unwanted:
        # Not repeated: somebody may have put a password into it.
        raise ValueError("a base URL is http(s)://host[:port][/prefix]")
    usual = 443 if secure else 80
    port = parts.port or usual
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    if not _HOST.fullmatch(host):
        raise ValueError("a base URL has a host name or address")
    name = f"[{host}]" if ":" in host else host
    header = name if port == usual else f"{name}:{port}"
    return host, port, header.encode(), parts.path.rstrip("/"), secure
