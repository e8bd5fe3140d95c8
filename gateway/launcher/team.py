"""All workers of a gateway, spoken to as one: their metrics together, and changes made in each.

Changes go through one lock, one at a time, and a worker that starts meanwhile catches up before it
counts as serving: one value for all workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gateway.core.errors import BadRequest, GatewayError, NotReady
from gateway.launcher.channel import LineLost
from gateway.launcher.crew import Worker
from gateway.launcher.door import Door
from gateway.sinks.merged import Snapshot, counted, merged, render, snapshot
from gateway.sinks.metrics import Metrics

_log = logging.getLogger("waterfall")
CHANGE_LIMIT = 60.0
"""Seconds that a worker may take to reload."""
ROUTES_LIMIT = 5.0
"""Seconds that it may take to tell its routes."""


class Team:
    """The workers. `follow` is called with the files whose change calls for a reload, and with
    the UNIX time that does too, if one does; `door` hands connections to those that serve."""

    def __init__(
        self,
        orders: Mapping[str, Any],
        follow: Callable[[Iterable[Path], float | None], None],
        own: Metrics,
        door: Door,
    ) -> None:
        """`orders` are what every worker is told at its start, as JSON values; `own` are this
        process's metrics, whose counters belong to the whole."""
        self.workers: dict[int, Worker] = {}
        """By their place, those that have ended and are not replaced yet included."""
        self.beside: set[Worker] = set()
        """Those that are to take a place, and those that have left theirs and have not ended."""
        self._orders = orders
        self._follow = follow
        self._own = own
        self._door = door
        self._ended: Snapshot = []
        self._changing = asyncio.Lock()
        self._changes = 0
        self._thresholds: dict[str, tuple[float, ...]] = {}

    @property
    def everyone(self) -> list[Worker]:
        """All processes that there are."""
        return [*self.workers.values(), *self.beside]

    async def hire(self, number: int, *, beside: bool = False) -> Worker:
        """Start a worker for a place: at once, or `beside` who has it, until it serves."""
        worker = Worker(number)
        await worker.start(
            {
                "orders": partial(self._give_orders, worker),
                "ready": partial(self._welcome, worker),
                "files": self._hear_of_files,
                "metrics": self._page,
            }
        )
        if beside:
            self.beside.add(worker)
        else:
            self.workers[number] = worker
        return worker

    def lose(self, worker: Worker) -> None:
        """Keep what a worker that has ended had counted."""
        self._door.remove(worker.line)
        self._ended = counted([self._ended, worker.figures])
        worker.figures = []
        self.beside.discard(worker)

    async def read(self) -> list[Worker]:
        """Read every worker's figures; return those that should have answered and did not."""
        asked = self.everyone
        answered = await asyncio.gather(*(worker.read() for worker in asked))
        silent = [worker for worker, told in zip(asked, answered, strict=True) if not told]
        return [worker for worker in silent if worker.serves]

    async def metrics(self) -> bytes:
        """Write the metrics of all workers together, those that have ended included."""
        await self.read()
        past = counted([self._ended, snapshot(self._own)])
        parts = [*(worker.figures for worker in self.everyone), past]
        # Beside the loop: connections go on being handed over while a large page is written.
        return await asyncio.to_thread(lambda: render(merged(parts)))

    async def reload(self) -> str:
        """Have every worker load the file again; return the configuration's digest.

        Raises BadRequest where it is refused, GatewayError where not every worker has taken it.
        """
        async with self._changing:
            digest = await self._everyone("reload", None)
            self._thresholds.clear()
        return str(digest)

    async def set_thresholds(self, route: str, thresholds: tuple[float, ...]) -> None:
        """Set a route's thresholds in every worker until the next reload. Raises as `reload`."""
        async with self._changing:
            await self._everyone("threshold", [route, thresholds])
            self._thresholds[route] = thresholds

    async def routes(self) -> dict[str, Any]:
        """Tell what is configured, as any worker has it. Raises NotReady where none serves."""
        for worker in self.workers.values():
            if worker.serves:
                with contextlib.suppress(LineLost):
                    return dict(await worker.ask("routes", None, ROUTES_LIMIT))
        raise NotReady("No worker serves just now. Send it again.", retry_after=1)

    async def _everyone(self, name: str, given: Any) -> Any:
        """Ask every worker that serves for a change; return the first one's answer."""
        asked = [worker for worker in self.workers.values() if worker.serves]
        if not asked:
            raise NotReady("No worker serves just now. Send it again.", retry_after=1)
        self._changes += 1
        asking = (worker.ask(name, given, CHANGE_LIMIT) for worker in asked)
        return _agreed(asked, await asyncio.gather(*asking, return_exceptions=True))

    async def _give_orders(self, worker: Worker, _: Any) -> Any:
        worker.version = self._changes
        return {**self._orders, "thresholds": self._thresholds}

    async def _welcome(self, worker: Worker, _: Any) -> None:
        """Take a worker for one that serves, once it knows what has changed since its orders."""
        async with self._changing:
            if worker.succeeded:  # another one has taken its place meanwhile: it goes by itself
                return
            if worker.version != self._changes:
                await self._catch_up(worker)
            worker.welcome()
            self._door.add(worker.line)
            if worker in self.beside:
                self._succeed(worker)

    def _succeed(self, worker: Worker) -> None:
        """Give a worker its place; who had it is handed no more, and ends once all have left."""
        before = self.workers[worker.number]
        self.workers[worker.number] = worker
        self.beside.discard(worker)
        before.succeeded = True
        if not before.gone.is_set():
            self.beside.add(before)
        self._door.remove(before.line)

    async def _catch_up(self, worker: Worker) -> None:
        try:
            await worker.ask("reload", None, CHANGE_LIMIT)
            for route, thresholds in self._thresholds.items():
                await worker.ask("threshold", [route, thresholds], CHANGE_LIMIT)
        except (LineLost, BadRequest) as error:
            _log.error("worker %d may differ from the others: %s", worker.number, error)

    async def _hear_of_files(self, told: Any) -> None:
        files, until = told
        self._follow([Path(each) for each in files], until)

    async def _page(self, _: Any) -> str:
        return (await self.metrics()).decode()


def _agreed(asked: Sequence[Worker], answers: Sequence[Any]) -> Any:
    """Return the first answer when nobody failed; otherwise raise what says who did."""
    failures = [
        (worker, answer)
        for worker, answer in zip(asked, answers, strict=True)
        if isinstance(answer, BaseException)
    ]
    if not failures:
        return answers[0]
    worker, error = failures[0]
    if not isinstance(error, BadRequest | LineLost):
        raise error
    if isinstance(error, BadRequest) and len(failures) == len(asked):
        raise error
    raise GatewayError(
        f"Only {len(asked) - len(failures)} of {len(asked)} workers took it; worker "
        f"{worker.number}: {error} Send it again."
    )
