"""Sockets, servers, processes and signals: a gateway in one process, or in several.

One process is `running`; with more workers a supervisor (`supervisor.py`) starts as many processes
(`worker.py`), speaks to them over a private socket (`channel.py`) and is the one admin listener.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway.config import ServerSettings, Settings
from gateway.launcher.garbage import sparing
from gateway.launcher.process import Running, run, running
from gateway.launcher.served import Served, describe
from gateway.launcher.sockets import listen
from gateway.launcher.supervisor import supervising

__all__ = ["Running", "Served", "describe", "listen", "run", "running", "serve"]


async def serve(
    settings: Settings,
    path: Path,
    announce: Callable[[Served], None],
    server: ServerSettings | None = None,
) -> int:
    """Serve until told to stop, in as many processes as `server.workers` says; return the exit
    code. Raises as `running` does; `announce` is called once every process serves."""
    server = server or settings.server
    if server.workers > 1:
        async with supervising(settings, path, server) as team:
            await _until_stopped(team, announce)
    else:
        async with running(settings, path, server=server) as served:
            with sparing() as replaced:
                served.gateway.on_settings.append(replaced)
                await _until_stopped(served, announce)
    return 0


async def _until_stopped(served: Served, announce: Callable[[Served], None]) -> None:
    """Announce what serves, unless it was stopped while it started; wait until it is."""
    if not served.stopping.is_set():
        announce(served)
    await served.stopping.wait()
