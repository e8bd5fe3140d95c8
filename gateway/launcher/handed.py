"""A worker's end of the door: serves the connections that it is handed, and leaves without losing
a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from fastapi import FastAPI

from gateway.launcher.connection import BOUNDS, Bounds, Connection
from gateway.launcher.door import AT_ONCE
from gateway.launcher.servers import Server, make_server, running_servers

_LOOK_AGAIN = 0.05


class Handed:
    """The connections of one worker. `left` is set once it will be handed no more."""

    def __init__(self, server: Server, line: socket.socket) -> None:
        """`line` is this end of the worker's line to the door."""
        self.left = asyncio.Event()
        self._server = server
        self._line = line
        self._line.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._adopting: set[asyncio.Task[None]] = set()
        self._untold = 0

    def begin(self) -> None:
        """Take what is handed over, from now on."""
        self._loop.add_reader(self._line.fileno(), self._fetch)

    @property
    def idle(self) -> bool:
        """Are there no connections?"""
        return not (self._adopting or self._server.server_state.connections)

    async def part(self, drain: float, unless: Sequence[asyncio.Event]) -> None:
        """Wait until every client has gone, now that nothing new comes, for at most `drain`
        seconds, or until one of the events is set. With each reply clients are told that the
        connection ends; one that is not used ends as it always would."""
        limit = self._loop.time() + drain
        while not (self.idle or any(each.is_set() for each in unless)):
            left = limit - self._loop.time()
            if left <= 0:
                break
            self._server.config.timeout_graceful_shutdown = max(1, round(left))
            await asyncio.sleep(_LOOK_AGAIN)

    async def end(self) -> None:
        """Take no more, but fetch what has been sent already."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RD)  # who sends now is told, and asks another worker
        while not self.left.is_set():
            self._fetch()
        await asyncio.gather(*self._adopting)

    def ended(self) -> None:
        """Tell the door that a connection has ended."""
        self._untold += 1
        with contextlib.suppress(OSError):  # its buffer is full: with the next one, then
            self._untold -= self._line.send(b"e" * self._untold)

    def _fetch(self) -> None:
        for _ in range(AT_ONCE):
            try:
                told, given, _, _ = socket.recv_fds(self._line, 1, 1, socket.MSG_CMSG_CLOEXEC)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                told, given = b"", []
            if not told:
                self._loop.remove_reader(self._line.fileno())
                self.left.set()
                return
            self._take(given)

    def _take(self, given: Iterable[int]) -> None:
        for each in given:
            task = self._loop.create_task(self._adopt(socket.socket(fileno=each)))
            self._adopting.add(task)
            task.add_done_callback(self._adopting.discard)

    async def _adopt(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(lambda: _Connection(self), connection)
        except OSError:  # it has gone already
            connection.close()
            self.ended()

    def connection_state(self) -> dict[str, Any]:
        """What uvicorn gives to each connection."""
        server = self._server
        return {
            "config": server.config,
            "server_state": server.server_state,
            "app_state": server.lifespan.state,
        }


class _Connection(Connection):
    """One that says that it ends with this reply, once its worker is leaving."""

    def __init__(self, handed: Handed) -> None:
        super().__init__(**handed.connection_state())
        self._handed = handed

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self._handed.left.is_set() and self.cycle is not None:
            self.cycle.keep_alive = False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._handed.ended()


@contextlib.asynccontextmanager
async def serving_handed(
    app: FastAPI, line: socket.socket, drain: float, bounds: Bounds = BOUNDS
) -> AsyncIterator[Handed]:
    """Serve an app on the connections that come down a line; on the way out let what is under way
    end, within `drain` seconds."""
    server = make_server(app, drain, bounds)
    handed = Handed(server, line)
    async with running_servers([(server, [])]):
        handed.begin()
        try:
            yield handed
        finally:
            await handed.end()
