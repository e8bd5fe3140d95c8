"""uvicorn's servers on our own sockets, started and drained together; and the signals' handlers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import uvicorn
from fastapi import FastAPI

from gateway.app import StartError

_LOOK_AGAIN = 0.02


class _Server(uvicorn.Server):
    """A server that leaves signals to us, since there are two in one loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.asynccontextmanager
async def serving(
    apps: Sequence[tuple[FastAPI, socket.socket]], drain: float
) -> AsyncIterator[None]:
    """Serve each app on its socket while inside; on the way out take nothing new and let what is
    under way end, within `drain` seconds."""
    servers = [_server(app, drain) for app, _ in apps]
    tasks = [
        asyncio.create_task(server.serve(sockets=[sock]))
        for server, (_, sock) in zip(servers, apps, strict=True)
    ]
    try:
        await _started(servers, tasks)
        yield
    finally:
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)


def _server(app: FastAPI, drain: float) -> _Server:
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(drain)),
    )
    return _Server(config)


async def _started(servers: list[_Server], tasks: list[asyncio.Task[None]]) -> None:
    while not all(server.started for server in servers):
        for task in tasks:
            if task.done():
                task.result()
                raise StartError("A listener stopped while it was starting.")
        await asyncio.sleep(_LOOK_AGAIN)


@contextlib.contextmanager
def signals(
    stopping: asyncio.Event,
    stop: Callable[[], None],
    reload: Callable[[], Awaitable[object]],
    at_once: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Call `stop` and set `stopping` on SIGTERM and SIGINT, and end at once on the second, after
    `at_once`; call `reload` on SIGHUP."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()
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

    async def again() -> None:
        await reload()

    def hang_up() -> None:
        task = loop.create_task(again())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of several events is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
