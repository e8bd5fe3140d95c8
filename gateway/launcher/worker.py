"""One of several processes that serve: `python -c ... LINE DOOR NUMBER`, started by the supervisor.

It asks the supervisor what to serve, says when it does, and ends when it is told to or when the
supervisor has gone: no worker outlives who could stop it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gateway.api.dashboard import describe
from gateway.app import REFUSALS, Gateway, read_settings
from gateway.config import LedgerSettings, ServerSettings, Settings
from gateway.core.errors import BadRequest, NotReady
from gateway.core.room import Caps
from gateway.launcher.channel import Channel, LineLost
from gateway.launcher.garbage import sparing
from gateway.launcher.handed import serving_handed
from gateway.launcher.lag import watching_lag
from gateway.launcher.process import bounds_of, run
from gateway.launcher.servers import first_of, signals
from gateway.sinks.merged import snapshot

_log = logging.getLogger("waterfall")


def main() -> int:
    """Serve as the supervisor says until told to stop; return the exit code."""
    line, door, number = sys.argv[1:4]
    logging.basicConfig(level=logging.INFO, format=f"waterfall[{number}]: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    return run(_work(socket.socket(fileno=int(line)), socket.socket(fileno=int(door))))


async def _work(line: socket.socket, door: socket.socket) -> int:
    channel = await Channel.over(line, {})
    try:
        with door:
            await _serve(channel, await channel.ask("orders"), door)
    except LineLost:
        return 1
    except REFUSALS as error:
        channel.tell("refused", str(error))
        return 2
    finally:
        await channel.close()
    return 0


async def _serve(channel: Channel, orders: dict[str, Any], door: socket.socket) -> None:
    """Serve what is ordered until a signal, until another worker has taken over, or until the
    supervisor has gone."""
    stopping = asyncio.Event()
    with signals(stopping, lambda: None, _leave_it), ExitStack() as inside:
        server, settings = _settings(orders)
        gateway = Gateway(settings, Path(orders["path"]), orders["log_to"], server)
        gateway.on_files = partial(_tell_files, channel)
        for route, thresholds in orders["thresholds"].items():
            _set(gateway, route, thresholds)
        try:
            app = gateway.main(lambda: _page(channel))
            async with (
                watching_lag(
                    gateway.metrics.lagged,
                    gateway.metrics.resilience.blocked,
                    gateway.metrics.standing.tasked,
                ),
                serving_handed(app, door, server.drain, bounds_of(server, gateway)) as handed,
            ):
                gateway.on_settings.append(inside.enter_context(sparing()))
                channel.answers.update(_answers(gateway, stopping))
                channel.tell("ready")
                gateway.switch.warm()
                await first_of(stopping, channel.closed, handed.left)
                await handed.part(server.drain, (stopping, channel.closed))
                gateway.switch.draining = True
            channel.tell("figures", snapshot(gateway.metrics))
        finally:
            await gateway.close()


def _tell_files(channel: Channel, files: Iterable[Path], until: float | None) -> None:
    channel.tell("files", [[str(each) for each in files], until])


async def _leave_it() -> None:
    """Leave a reload to the supervisor, who tells every worker of it."""


async def _page(channel: Channel) -> bytes:
    """Fetch the metrics of all workers together."""
    try:
        return str(await channel.ask("metrics")).encode()
    except LineLost as error:
        raise NotReady(f"The supervisor {error}: it has the metrics of all workers.") from error


def _settings(orders: dict[str, Any]) -> tuple[ServerSettings, Settings]:
    """Read the configuration, with the server and ledger of the supervisor's start: what has
    changed of them in the file since waits for the next one."""
    told = orders["server"]
    own = {"admin": told["admin"] and tuple(told["admin"]), "caps": Caps(**told["caps"])}
    server = ServerSettings(**(told | own))
    ledger = LedgerSettings.ordered(orders["ledger"])
    return server, replace(read_settings(Path(orders["path"])), ledger=ledger)


def _answers(gateway: Gateway, stopping: asyncio.Event) -> dict[str, Any]:
    """Return what the supervisor may ask for."""

    async def figures(_: Any) -> Any:
        return snapshot(gateway.metrics)

    async def reload(_: Any) -> str:
        return await gateway.reload_or_refuse()

    async def threshold(given: Any) -> None:
        route, values = given
        gateway.set_thresholds(route, tuple(values))

    async def stop(_: Any) -> None:
        stopping.set()

    async def routes(_: Any) -> Any:
        return describe(gateway.switch.service.routes)

    told = {"figures": figures, "routes": routes}
    return told | {"reload": reload, "threshold": threshold, "stop": stop}


def _set(gateway: Gateway, route: str, thresholds: list[float]) -> None:
    """Take over thresholds that were set since the last reload, where they still fit."""
    try:
        gateway.set_thresholds(route, tuple(thresholds))
    except BadRequest as error:
        _log.warning("threshold of %s not taken over: %s", route, error)
