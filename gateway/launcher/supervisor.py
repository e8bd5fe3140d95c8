"""Several workers as one gateway: keeps the port, starts them, replaces those that end, stops all.

It watches the files and serves the admin listener too; requests never pass it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path

from fastapi import FastAPI

from gateway.api.admin import Controls, admin_app
from gateway.app import CLOCKS, StartError, refuse_open_door
from gateway.config import ServerSettings, Settings, Watcher, is_loopback
from gateway.core.errors import BadRequest, GatewayError
from gateway.core.ledger import Refusal
from gateway.launcher.crew import Worker
from gateway.launcher.servers import first_of, serving, signals
from gateway.launcher.sockets import listen, reserve, url_of
from gateway.launcher.team import Team
from gateway.sinks.log import RequestLog, human_line, json_line
from gateway.sinks.metrics import Metrics
from gateway.store.store import prepare

_log = logging.getLogger("waterfall")
EVERY_SECONDS = 1.0
"""How often the workers' figures are read: one that is killed takes at most these with it."""
MOST_MISSED = 10
"""As often in a row, at some 3 seconds each, a worker may fail to tell them: its loop stands."""
FIRST_PAUSE, LONGEST_PAUSE, LONG_ENOUGH = 0.1, 30.0, 60.0
"""Seconds before an ended worker is replaced: the first time and at most, doubling between them;
and for how long it must have run for its end to be a first one again."""
PATIENCE = 15.0
"""Seconds beyond the drain, to write out the ledger."""


class Supervisor:
    """A gateway of several processes; use it through `supervising`."""

    def __init__(self, settings: Settings, path: Path, server: ServerSettings, log_to: int) -> None:
        """Bind the addresses. Raises StartError, and leaves nothing bound then."""
        self.settings = replace(settings, server=server)
        refuse_open_door(self.settings)
        self.stopping = asyncio.Event()
        self.admin_secret = server.admin_key or secrets.token_urlsafe(24)
        with contextlib.ExitStack() as bound:
            self._kept = bound.enter_context(reserve(server.host, server.port))
            self._admin = bound.enter_context(listen(*server.admin)) if server.admin else None
            self._bound = bound.pop_all()
        self.base_url = f"{url_of(self._kept)}/v1"
        self._admin_host = server.admin[0] if server.admin else ""
        self.admin_url = url_of(self._admin) if self._admin else None
        self._log = RequestLog(human_line if server.log == "human" else json_line, log_to)
        self._metrics = Metrics((), {}, lambda: {"dropped_lines": float(self._log.dropped)})
        self._watcher = Watcher(settings.files, self.try_reload, settings.prices_until)
        orders = {
            "path": str(path),
            "bind": self._kept.getsockname()[:2],
            "server": asdict(server),
            "ledger": settings.ledger.orders(),
            "log_to": log_to,
        }
        self.team = Team(orders, self._watcher.follow, self._metrics)
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the workers; return when all of them serve, or when told to stop meanwhile.

        Raises StartError with what the first of them to fail said.
        """
        with contextlib.suppress(OSError):  # what is wrong with the place, a worker says
            await asyncio.to_thread(prepare, self.settings.ledger.place)
        numbers = range(1, self.settings.server.workers + 1)
        workers = [await self._hire(number) for number in numbers]
        for worker in workers:
            await first_of(worker.known, self.stopping)
            if not (worker.serves or self.stopping.is_set()):
                raise StartError(worker.why)
        self._keepers = [asyncio.create_task(self._keep(worker)) for worker in workers]

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look at the configuration's files, and read the workers' figures, while inside."""
        tasks = [asyncio.create_task(each) for each in (self._watcher.run(), self._poll())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    async def _poll(self) -> None:
        missed: dict[Worker, int] = {}
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            missed = {worker: missed.get(worker, 0) + 1 for worker in await self.team.read()}
            for worker, times in missed.items():
                if times >= MOST_MISSED:
                    _log.error("worker %d is stuck: it is killed", worker.number)
                    worker.kill()

    async def try_reload(self) -> None:
        """Reload where nobody waits to hear of it; what a worker refuses it has logged itself."""
        try:
            await self.team.reload()
        except BadRequest:
            pass
        except GatewayError as error:
            _log.error("reload: %s", error)

    def admin(self) -> list[tuple[FastAPI, socket.socket]]:
        """Return the admin listener's app and socket, where there is one."""
        if self._admin is None:
            return []
        controls = Controls(
            secret=self.admin_secret,
            is_local=is_loopback(self._admin_host),
            render_metrics=self.team.metrics,
            reload=self.team.reload,
            set_thresholds=self.team.set_thresholds,
            refuse=self._refuse,
        )
        return [(admin_app(controls, CLOCKS), self._admin)]

    def dismiss(self) -> None:
        """Tell the workers to drain and end."""
        self.stopping.set()
        for worker in self.team.workers.values():
            worker.stop()

    def kill(self) -> None:
        """End the workers at once."""
        for worker in self.team.workers.values():
            worker.kill()

    async def end(self) -> None:
        """Let the workers drain and end; kill those that take longer than they may."""
        self.dismiss()
        ends = [asyncio.create_task(each.gone.wait()) for each in self.team.workers.values()]
        if ends:
            _, late = await asyncio.wait(ends, timeout=self.settings.server.drain + PATIENCE)
            if late:
                _log.error("%d workers did not end in time, and were killed", len(late))
                self.kill()
                await asyncio.wait(late)
        await asyncio.gather(*self._keepers)

    def close(self) -> None:
        """Let go of the addresses and of the log."""
        self._bound.close()
        self._log.close()

    def _refuse(self, refused: Refusal) -> None:
        self._metrics.refuse(refused)
        self._log.write(refused)

    async def _hire(self, number: int) -> Worker:
        worker = await self.team.hire(number)
        if self.stopping.is_set():  # told so while it was being started
            worker.stop()
        return worker

    async def _keep(self, worker: Worker) -> None:
        """See to it that a place has a worker, until told to stop."""
        pause = FIRST_PAUSE
        while True:
            await worker.gone.wait()
            self.team.lose(worker)
            if self.stopping.is_set():
                return
            pause = FIRST_PAUSE if worker.age > LONG_ENOUGH else pause
            _log.error("%s; another takes its place in %g s", worker.why, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), pause)
                return
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                worker = await self._hire(worker.number)
            except OSError as error:
                _log.error("worker %d cannot be started: %s", worker.number, error)
            else:
                self._metrics.restarted()


@contextlib.asynccontextmanager
async def supervising(
    settings: Settings, path: Path, server: ServerSettings, log_to: int = 1
) -> AsyncIterator[Supervisor]:
    """Serve with several workers while inside; drain and end them on the way out.

    The arguments are those of `launcher.running`. Raises one of gateway.app.REFUSALS.
    """
    it = Supervisor(settings, path, server, log_to)
    try:
        with signals(it.stopping, it.dismiss, it.try_reload, it.kill):
            try:
                await it.start()
                async with serving(it.admin(), server.drain), it.watching():
                    yield it
                    it.dismiss()
            finally:
                await it.end()
    finally:
        it.close()
