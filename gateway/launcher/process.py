"""A gateway in this process: its listeners, its watch on the configuration and its signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvloop

from gateway.app import CLOCKS, Gateway
from gateway.config import ServerSettings, Settings, Watcher
from gateway.core.errors import GatewayError
from gateway.core.ledger import refusal
from gateway.launcher.connection import Bounds
from gateway.launcher.lag import watching_lag
from gateway.launcher.servers import serving, signals
from gateway.launcher.sockets import listen, url_of

GRACE: Final = 2.0
"""Seconds that tasks have to end in, once all else has."""
_log = logging.getLogger("waterfall")


@dataclass
class Running:
    """A gateway being served. `stopping` is set by SIGTERM or SIGINT, and by whoever is done."""

    gateway: Gateway
    base_url: str
    admin_url: str | None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self.gateway.settings

    @property
    def admin_secret(self) -> str:
        """The admin key, or the token of this run."""
        return self.gateway.admin_secret

    def drain(self) -> None:
        """Say that it is not ready for more."""
        self.gateway.switch.draining = True


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine on the fastest event loop to be had. What is left when it has ended and
    will not be cancelled is not waited for beyond GRACE."""
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    stuck: list[str] = []
    try:
        return runner.run(_to_the_end(main, stuck))
    finally:
        if stuck:
            _log.warning("left behind, for they would not be cancelled: %s", ", ".join(stuck))
            runner.get_loop().close()  # the runner's own way waits for them for ever
        else:
            runner.close()


async def _to_the_end(main: Coroutine[Any, Any, int], stuck: list[str]) -> int:
    """Await it, cancel what is still running then, and name in `stuck` what goes on."""
    try:
        return await main
    finally:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest:
            _, going_on = await asyncio.wait(rest, timeout=GRACE)
            stuck += sorted(_name(task) for task in going_on)


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", task.get_name())


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    path: Path | None = None,
    log_to: int = 1,
    server: ServerSettings | None = None,
) -> AsyncIterator[Running]:
    """Serve a gateway on its listeners while inside, in this process alone, however many workers
    are configured; drain and close on the way out.

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
    urls = [url_of(each) for each in sockets]
    served = Running(gateway, f"{urls[0]}/v1", urls[1] if urls[1:] else None)
    bounds = bounds_of(server, gateway)
    apps = [app() for app in (gateway.main, gateway.admin)[: len(sockets)]]
    watcher = Watcher(settings.files, gateway.reload, settings.prices_until)
    gateway.on_files = watcher.follow
    with signals(served.stopping, served.drain, gateway.reload):
        watch = asyncio.create_task(watcher.run()) if path is not None else None
        try:
            async with (
                watching_lag(
                    gateway.metrics.lagged,
                    gateway.metrics.resilience.blocked,
                    gateway.metrics.standing.tasked,
                ),
                serving(list(zip(apps, sockets, strict=True)), server.drain, bounds),
            ):
                gateway.switch.warm()
                try:
                    yield served
                finally:
                    served.drain()
                    if watch is not None:
                        watch.cancel()
        finally:
            await gateway.close()


def bounds_of(server: ServerSettings, gateway: Gateway) -> Bounds:
    """Return what bounds a gateway's requests while they arrive; those that are cut are counted and
    logged like any other that is refused."""

    def turned_away(error: GatewayError) -> str:
        known_as = CLOCKS.new_id()
        gateway.refuse(refusal(known_as, CLOCKS.wall(), error))
        return known_as

    return Bounds(wait=server.read_timeout, turned_away=turned_away)


def _listen_all(server: ServerSettings) -> list[socket.socket]:
    """Bind the main listener's socket and, where there is one, the admin listener's; or none."""
    wanted = [(server.host, server.port), *([server.admin] if server.admin else [])]
    with contextlib.ExitStack() as bound:
        sockets = [bound.enter_context(listen(*address)) for address in wanted]
        bound.pop_all()
    return sockets
