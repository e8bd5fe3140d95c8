"""Finds an origin's addresses and connects to one of them, with TLS where asked."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable

from gateway.upstreams.http1.connection import Connection
from gateway.upstreams.http1.errors import ConnectFailed, ConnectFault

_NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS})
"""What the system says where this process or machine has no descriptor or no port left."""


class ResumingContext(ssl.SSLContext):
    """A verifying client context that offers the last session again, for one origin.

    asyncio has no parameter for a session, but asks the context to wrap each connection.
    """

    session: ssl.SSLSession | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Wraps as the standard context does, with the remembered session."""
        return super().wrap_bio(
            incoming, outgoing, server_side, server_hostname, session or self.session
        )

    def remember(self, transport: asyncio.Transport) -> None:
        """Keeps the session of a connection which has carried a reply (tickets come late)."""
        wrapped = transport.get_extra_info("ssl_object")
        if wrapped is not None and wrapped.session is not None:
            self.session = wrapped.session


def default_context() -> ResumingContext:
    """Verifies certificate and host name against the system's authorities."""
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    return context


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, in the system's order of preference; raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Dialler:
    """Connects to one host and port; keeps what the name resolved to for `ttl` seconds."""

    __slots__ = ("_addresses", "_host", "_literal", "_lookup", "_port", "_stale_at", "_tls", "_ttl")

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, ttl: float) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._ttl = ttl
        self._lookup: asyncio.Task[list[str]] | None = None
        self._stale_at = 0.0
        self._literal = _is_address(host)
        self._addresses: list[str] = [host] if self._literal else []

    async def connect(self, new: Callable[[], Connection], deadline: float) -> Connection:
        """A connection made by `deadline` (loop time), trying each address in turn.

        An address that fails goes to the end of the row, so that the next call starts elsewhere.
        Raises ConnectFailed, and TimeoutError at the deadline.
        """
        async with asyncio.timeout_at(deadline):
            row = list(await self._resolve())
        for left in range(len(row), 0, -1):
            address = row[-left]
            try:
                async with asyncio.timeout_at(_share(deadline, left)):
                    return await self._open(new, address)
            except ssl.SSLError as error:
                raise ConnectFailed("tls", str(error)) from error
            except OSError as error:  # TimeoutError is one of them
                self._demote(address)
                if left == 1:
                    self._stale_at = 0.0
                    raise _translated(error) from error
        raise ConnectFailed("dns", f"{self._host} has no address")

    def close(self) -> None:
        """Gives up a look-up under way."""
        if self._lookup is not None:
            self._lookup.cancel()

    async def _open(self, new: Callable[[], Connection], address: str) -> Connection:
        name = self._host if self._tls is not None else None
        loop = asyncio.get_running_loop()
        began = loop.time()
        _, connection = await loop.create_connection(
            new, address, self._port, ssl=self._tls, server_hostname=name
        )
        # TCP takes one round trip and TLS at least another.
        connection.round_trip = (loop.time() - began) / (1 if self._tls is None else 2)
        raw: socket.socket = connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _demote(self, address: str) -> None:
        if address in self._addresses:
            self._addresses.remove(address)
            self._addresses.append(address)

    async def _resolve(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        if self._literal or (self._addresses and now < self._stale_at):
            return self._addresses
        # One look-up serves all who wait for it, and outlives any of them that is cancelled.
        if self._lookup is None:
            self._lookup = asyncio.create_task(self._look_up())
            self._lookup.add_done_callback(self._looked_up)
        lookup = self._lookup
        try:
            return await asyncio.shield(lookup)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if lookup.cancelled() and task is not None and not task.cancelling():
                raise ConnectFailed("closed", "the pool is closed") from None
            raise  # it is the caller who was cancelled
        except (OSError, UnicodeError) as error:
            raise ConnectFailed("dns", f"{self._host}: {error}") from error

    async def _look_up(self) -> list[str]:
        self._addresses = await resolve(self._host, self._port)
        self._stale_at = asyncio.get_running_loop().time() + self._ttl
        return self._addresses

    def _looked_up(self, lookup: asyncio.Task[list[str]]) -> None:
        self._lookup = None
        if not lookup.cancelled():
            lookup.exception()  # those who waited have it; with nobody left it is of no interest


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _share(deadline: float, left: int) -> float:
    # A silent address may use up only its part of the time when others are left to try.
    now = asyncio.get_running_loop().time()
    return now + (deadline - now) / left


def _translated(error: OSError) -> Exception:
    if isinstance(error, TimeoutError):
        return error
    fault: ConnectFault = "refused" if isinstance(error, ConnectionRefusedError) else "network"
    if error.errno in _NONE_LEFT:
        fault = "sockets"
    return ConnectFailed(fault, str(error))
