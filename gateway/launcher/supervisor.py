"""Several workers as one gateway: opens the door, starts them, replaces those that end, stops all.

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
from gateway.api.doors import StartError, refuse_open_door
from gateway.api.figures import figures_of
from gateway.app import CLOCKS, read_settings
from gateway.config import ConfigError, ServerSettings, Settings, Watcher, is_loopback
from gateway.core.errors import BadRequest, GatewayError, NotReady
from gateway.launcher.connection import Bounds
from gateway.launcher.crew import Worker
from gateway.launcher.door import Door
from gateway.launcher.servers import first_of, serving, signals
from gateway.launcher.sockets import listen, reserve, url_of
from gateway.launcher.team import Team
from gateway.sinks.log import RequestLog, human_line, json_line
from gateway.sinks.metrics import Metrics
from gateway.spending import key_desk
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
        self.stopping, self._path = asyncio.Event(), path
        self.admin_secret = server.admin_key or secrets.token_urlsafe(24)
        with contextlib.ExitStack() as bound:
            kept = bound.enter_context(reserve(server.host, server.port))
            self._admin = bound.enter_context(listen(*server.admin)) if server.admin else None
            self._bound = bound.pop_all()
        self.base_url = f"{url_of(kept)}/v1"
        self._admin_host = server.admin[0] if server.admin else ""
        self.admin_url = url_of(self._admin) if self._admin else None
        self._log = RequestLog(human_line if server.log == "human" else json_line, log_to)
        self._metrics = Metrics((), {}, lambda: {"dropped_lines": float(self._log.dropped)})
        self._watcher = Watcher(settings.files, self.try_reload, settings.prices_until)
        orders = {
            "path": str(path),
            "server": asdict(server),
            "ledger": settings.ledger.orders(),
            "log_to": log_to,
        }
        self._door = Door(kept)
        self._figures = figures_of(settings.ledger, CLOCKS.wall)
        self.team = Team(orders, self._watcher.follow, self._metrics, self._door)
        self._keepers: set[asyncio.Task[None]] = set()
        self._restarting = asyncio.Lock()
        self._hiring = asyncio.Lock()  # one at a time for a place, whoever finds it empty

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
        for worker in workers:
            self._look_after(worker)

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
            refuse=self._log.write,
            restart=self.restart,
            figures=self._figures,
            routes=self.team.routes,
            configured=self._configured,
            keys=key_desk(self.settings, CLOCKS),
        )
        return [(admin_app(controls, CLOCKS), self._admin)]

    def _configured(self) -> Settings:
        """Read what is configured now; what was at first, while the file is a bad one. Blocks."""
        try:
            return read_settings(self._path)
        except ConfigError:
            return self.settings

    async def restart(self) -> int:
        """Replace every worker by a new process, one after the other, without losing a request;
        return how many. What they serve is the file as it is now, by the code that is there now.

        Raises BadRequest where one is under way, or a new worker cannot start: the others stay.
        """
        if self._restarting.locked():
            raise BadRequest("The workers are being replaced already.")
        async with self._restarting:
            for number in sorted(self.team.workers):
                before = self.team.workers[number]
                await self._replace(number)
                await first_of(before.gone, self.stopping)
                if self.stopping.is_set():
                    raise NotReady("The gateway is stopping.")
        _log.info("all %d workers were replaced", len(self.team.workers))
        return len(self.team.workers)

    async def _replace(self, number: int) -> None:
        """Start another worker for a place; return once it has it."""
        async with self._hiring:
            try:
                worker = await self._hire(number, beside=True)
            except OSError as error:
                raise GatewayError(f"No worker can be started: {error}") from error
            await first_of(worker.known, self.stopping)
        if not (worker.serves or self.stopping.is_set()):
            self.team.lose(worker)
            raise BadRequest(f"The restart was given up, the others go on: {worker.why}")
        self._look_after(worker)

    async def try_restart(self) -> None:
        """Replace the workers where nobody waits to hear of it."""
        try:
            await self.restart()
        except GatewayError as error:
            _log.error("restart: %s", error)

    def dismiss(self) -> None:
        """Let nobody else in, and tell the workers to drain and end."""
        self.stopping.set()
        self._door.shut()
        for worker in self.team.everyone:
            worker.stop()

    def kill(self) -> None:
        """End the workers at once."""
        for worker in self.team.everyone:
            worker.kill()

    async def end(self) -> None:
        """Let the workers drain and end; kill those that take longer than they may."""
        self.dismiss()
        await self._figures.aclose()
        ends = [asyncio.create_task(each.gone.wait()) for each in self.team.everyone]
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

    def _look_after(self, worker: Worker) -> None:
        keeper = asyncio.create_task(self._keep(worker))
        self._keepers.add(keeper)
        keeper.add_done_callback(self._keepers.discard)

    async def _hire(self, number: int, *, beside: bool = False) -> Worker:
        worker = await self.team.hire(number, beside=beside)
        if self.stopping.is_set():  # told so while it was being started
            worker.stop()
        return worker

    async def _keep(self, worker: Worker) -> None:
        """See to it that a worker's place has one, until told to stop or another has taken it."""
        pause = FIRST_PAUSE
        while True:
            await worker.gone.wait()
            self.team.lose(worker)
            if self.stopping.is_set() or worker.succeeded:
                return
            pause = FIRST_PAUSE if worker.age > LONG_ENOUGH else pause
            _log.error("%s; another takes its place in %g s", worker.why, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), pause)
                return
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                after = await self._hire_after(worker)
            except OSError as error:
                _log.error("worker %d cannot be started: %s", worker.number, error)
                continue
            if after is None:
                return
            worker = after
            self._metrics.restarted()

    async def _hire_after(self, worker: Worker) -> Worker | None:
        """Start another one for a place, unless it was taken meanwhile."""
        async with self._hiring:
            return None if worker.succeeded else await self._hire(worker.number)


@contextlib.asynccontextmanager
async def supervising(
    settings: Settings, path: Path, server: ServerSettings, log_to: int = 1
) -> AsyncIterator[Supervisor]:
    """Serve with several workers while inside; drain and end them on the way out.

    The arguments are those of `launcher.running`. Raises one of gateway.app.REFUSALS.
    """
    it = Supervisor(settings, path, server, log_to)
    bounds = Bounds(wait=server.read_timeout)
    try:
        with signals(it.stopping, it.dismiss, it.try_reload, it.kill, it.try_restart):
            try:
                await it.start()
                async with serving(it.admin(), server.drain, bounds), it.watching():
                    yield it
                    it.dismiss()
            finally:
                await it.end()
    finally:
        it.close()
