"""One process: its sockets, its servers and its signals.

The sockets are made here rather than by uvicorn: one that is bound without naming TCP leaves
Nagle's algorithm on, at some 40 ms a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI

from gateway.app import Gateway, StartError
from gateway.config import ServerSettings, Settings, Watcher

_log = logging.getLogger("waterfall")
_LOOK_AGAIN = 0.02


class _Server(uvicorn.Server):
    """A server that leaves signals to us, since there are two in one loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Bind a TCP socket. Raises StartError naming the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise StartError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    except (UnicodeError, ValueError, TypeError) as error:  # what no resolver would even look up
        sock.close()
        raise StartError(f"Cannot listen on {host!r}: it is no host's name or address.") from error
    return sock


def _listen_all(server: ServerSettings) -> list[socket.socket]:
    """Bind the main listener's socket and, where there is one, the admin listener's; or none."""
    wanted = [(server.host, server.port), *([server.admin] if server.admin else [])]
    with contextlib.ExitStack() as bound:
        sockets = [bound.enter_context(listen(*address)) for address in wanted]
        bound.pop_all()
    return sockets


@dataclass
class Running:
    """A gateway being served. `stopping` is set by SIGTERM or SIGINT, and by whoever is done."""

    gateway: Gateway
    base_url: str
    admin_url: str | None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine on the fastest event loop to be had."""
    return uvloop.run(main)


async def serve(
    settings: Settings,
    path: Path,
    announce: Callable[[Running], None],
    server: ServerSettings | None = None,
) -> int:
    """Serve until told to stop; return the exit code. Raises as `running` does."""
    async with running(settings, path, server=server) as served:
        announce(served)
        await served.stopping.wait()
    return 0


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    path: Path | None = None,
    log_to: int = 1,
    server: ServerSettings | None = None,
) -> AsyncIterator[Running]:
    """Serve a gateway on its listeners while inside; drain and close on the way out.

    `path` is watched and reloaded from when it changes, and on SIGHUP; `log_to` is the
    request log's file descriptor; `server` stands in the place of the settings' own. Raises one
    of gateway.app.REFUSALS.
    """
    server = server or settings.server
    sockets = _listen_all(server)
    try:
        gateway = Gateway(settings, path, log_to, server)
    except BaseException:
        for each in sockets:
            each.close()
        raise
    addresses = [f"http://{_address(each)}" for each in sockets]
    served = Running(gateway, f"{addresses[0]}/v1", addresses[1] if addresses[1:] else None)
    apps = (gateway.main, gateway.admin)[: len(sockets)]
    servers = [_server(app(), each, server.drain) for app, each in zip(apps, sockets, strict=True)]
    watcher = Watcher(settings.files, gateway.reload)
    gateway.on_files = watcher.follow
    background = [asyncio.create_task(each.serve(sockets=[s])) for each, s in servers]
    watch = asyncio.create_task(watcher.run()) if path is not None else None
    with _signals(served):
        try:
            await _started([each for each, _ in servers], background)
            yield served
        finally:
            await _stop(gateway, [each for each, _ in servers], background, watch)


def _server(app: FastAPI, sock: socket.socket, drain: float) -> tuple[_Server, socket.socket]:
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(drain)),
    )
    return _Server(config), sock


def _address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _started(servers: list[_Server], tasks: list[asyncio.Task[None]]) -> None:
    while not all(server.started for server in servers):
        for task in tasks:
            if task.done():
                task.result()
                raise StartError("A listener stopped while it was starting.")
        await asyncio.sleep(_LOOK_AGAIN)


@contextlib.contextmanager
def _signals(served: Running) -> Iterator[None]:
    """Stop on SIGTERM and SIGINT, at once on the second; reload on SIGHUP."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[bool]] = set()

    def stop(number: int) -> None:
        if served.stopping.is_set():
            # At once: what was under way is marked on disk, and settled at the next start.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        served.gateway.switch.draining = True
        served.stopping.set()

    def reload() -> None:
        task = loop.create_task(served.gateway.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


async def _stop(
    gateway: Gateway,
    servers: list[_Server],
    tasks: list[asyncio.Task[None]],
    watch: asyncio.Task[None] | None,
) -> None:
    gateway.switch.draining = True
    if watch is not None:
        watch.cancel()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*tasks, return_exceptions=True)
    await gateway.close()


def describe(served: Running) -> list[str]:
    """Say where a gateway listens and to whom."""
    settings = served.gateway.settings
    lines = [f"serving {served.base_url}"]
    if not settings.keys:
        lines.append("no keys are configured: only this machine is served")
    if served.admin_url is not None:
        lines.append(f"admin on {served.admin_url}")
        if not settings.server.admin_key:
            lines.append(f"admin token for this run: {served.gateway.admin_secret}")
    return [*lines, *settings.warnings]
