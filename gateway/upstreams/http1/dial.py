"""Finds an origin's addresses and connects to one of them, with TLS where asked."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

from gateway.upstreams.http1.connection import Connection
from gateway.upstreams.http1.errors import ConnectFailed, ConnectFault
from gateway.upstreams.http1.names import Names

NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS})
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


class Dialler:
    """Connects to one host and port; a name's addresses are believed for `ttl` seconds."""

    __slots__ = ("_host", "_names", "_port", "_tls")

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, ttl: float) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._names = Names(host, port, ttl)

    async def connect(self, new: Callable[[], Connection], deadline: float) -> Connection:
        """A connection made by `deadline` (loop time), trying each address in turn.

        An address that fails goes to the end of the row, so that the next call starts elsewhere.
        Raises ConnectFailed, and TimeoutError at the deadline.
        """
        row = await self._names.addresses(deadline)
        for left in range(len(row), 0, -1):
            address = row[-left]
            try:
                async with asyncio.timeout_at(_share(deadline, left)):
                    return await self._open(new, address)
            except ssl.SSLError as error:
                raise ConnectFailed("tls", str(error)) from error
            except OSError as error:  # TimeoutError is one of them
                self._names.demote(address)
                if left == 1:
                    self._names.doubt()
                    raise _translated(error) from error
        raise ConnectFailed("dns", f"{self._host} has no address")

    def close(self) -> None:
        """Gives up a look-up under way."""
        self._names.close()

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


def _share(deadline: float, left: int) -> float:
    # A silent address may use up only its part of the time when others are left to try.
    now = asyncio.get_running_loop().time()
    return now + (deadline - now) / left


def _translated(error: OSError) -> Exception:
    if isinstance(error, TimeoutError):
        return error
    fault: ConnectFault = "refused" if isinstance(error, ConnectionRefusedError) else "network"
    if error.errno in NONE_LEFT:
        fault = "sockets"
    return ConnectFailed(fault, str(error))
