"""uvicorn's servers on our own sockets, started and drained together; and the signals' handlers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import uvicorn
from fastapi import FastAPI

from gateway.api.doors import StartError
from gateway.launcher.connection import BOUNDS, Bounds, Config, Connection

_LOOK_AGAIN = 0.02
_SECOND = 1.0
_DATED = 0
"""A tick of uvicorn's at which it writes the date anew."""
KEEP_ALIVE = 75
"""Seconds that a client's connection may rest between two requests: longer than the 60 s of most
balancers, and than what SDKs keep theirs for, so that nobody sends a request into one that is being
closed. (uvicorn's own 5 s are just what Python's SDKs keep a connection for.)"""


class Server(uvicorn.Server):
    """A server that leaves signals to us, since there are two in one loop, and comes round once a
    second, for the date in its headers: uvicorn's own comes round ten times to see whether it is to
    stop, and two of them were half of what a gateway without requests used."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Take nothing new, and let what is under way end."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        """Serve until it is stopped."""
        while not await self.on_tick(_DATED):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _SECOND)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.asynccontextmanager
async def serving(
    apps: Sequence[tuple[FastAPI, socket.socket]], drain: float, bounds: Bounds = BOUNDS
) -> AsyncIterator[None]:
    """Serve each app on its socket while inside; on the way out take nothing new and let what is
    under way end, within `drain` seconds."""
    async with running_servers([(make_server(app, drain, bounds), [sock]) for app, sock in apps]):
        yield


@contextlib.asynccontextmanager
async def running_servers(
    servers: Sequence[tuple[Server, list[socket.socket]]],
) -> AsyncIterator[None]:
    """Run servers, each with its listening sockets, while inside; drain them on the way out."""
    tasks = [asyncio.create_task(server.serve(sockets=socks)) for server, socks in servers]
    try:
        await _started([server for server, _ in servers], tasks)
        yield
    finally:
        for server, _ in servers:
            server.stop()
        await asyncio.gather(*tasks, return_exceptions=True)


def make_server(app: FastAPI, drain: float, bounds: Bounds = BOUNDS) -> Server:
    """Make a server that lets what is under way end within `drain` seconds, and cuts a request
    that is out of bounds."""
    config = Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(drain)),
        timeout_keep_alive=KEEP_ALIVE,
    )
    config.bounds = bounds
    return Server(config)


async def _started(servers: list[Server], tasks: list[asyncio.Task[None]]) -> None:
    while not all(server.started for server in servers):
        for task in tasks:
            if task.done():
                task.result()
                raise StartError("A listener stopped while it was starting.")
        await asyncio.sleep(_LOOK_AGAIN)


Handle = Callable[[], Awaitable[object]]


@contextlib.contextmanager
def signals(
    stopping: asyncio.Event,
    stop: Callable[[], None],
    reload: Handle,
    at_once: Callable[[], None] = lambda: None,
    restart: Handle | None = None,
) -> Iterator[None]:
    """Call `stop` and set `stopping` on SIGTERM and SIGINT, and end at once on the second, after
    `at_once`; call `reload` on SIGHUP and `restart` on SIGUSR2; afterwards they are what they
    were before."""
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()
    told = False

    def end(number: int) -> None:
        nonlocal told
        # Not `stopping`: that may be set by whoever else was signalled, as all of a service's
        # processes are, and this be the first that comes here.
        if told:
            # At once: what was under way is marked on disk, and settled at the next start.
            at_once()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        told = True
        stop()
        stopping.set()

    async def call(handle: Handle) -> None:
        await handle()

    def begin(handle: Handle) -> None:
        task = loop.create_task(call(handle))
        running.add(task)
        task.add_done_callback(running.discard)

    handlers: dict[signal.Signals, tuple[Callable[..., None], object]] = {
        signal.SIGTERM: (end, signal.SIGTERM),
        signal.SIGINT: (end, signal.SIGINT),
        signal.SIGHUP: (begin, reload),
    }
    if restart is not None:
        handlers[signal.SIGUSR2] = begin, restart
    with contextlib.ExitStack() as until:
        for number, (handler, given) in handlers.items():
            until.callback(signal.signal, number, signal.getsignal(number))
            loop.add_signal_handler(number, handler, given)
            until.callback(loop.remove_signal_handler, number)
        yield


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of several events is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
