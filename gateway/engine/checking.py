"""The checks that wait: put to a reply, or begun beside its draft; booked however they end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.core.cascade import early_checks
from gateway.core.chat import Choice, Reply
from gateway.core.outcome import Attempt, CallRecord
from gateway.core.plan import Tier
from gateway.core.ports import Question
from gateway.core.verdict import Evidence, Finding
from gateway.engine.booking import BookedCalls
from gateway.engine.ending import end
from gateway.engine.state import LOGGER, Run


@dataclass(frozen=True, slots=True)
class _Running:
    """One check under way; `reply` is set once there is one to examine."""

    name: str
    task: asyncio.Task[Finding]
    reply: asyncio.Future[Reply]
    calls: BookedCalls
    began: float


class Examining:
    """One request's checks that wait. Whoever has one drops it in the end, whatever happens."""

    def __init__(self, run: Run) -> None:
        """Begin with none."""
        self._run = run
        self.running: dict[str, _Running] = {}
        """Those under way, by their names."""
        self._heard: dict[str, list[Choice]] = {}
        """By tier, the samples that checks of its replies have drawn."""

    def begin(self, tier: Tier) -> None:
        """Start, beside a draft of `tier`, the checks that are to run beside it."""
        run = self._run
        for name in early_checks(run.job.plan, run.attempts, tier, stream=run.stream):
            if name in run.parts.examiners:
                self._start(tier, name)

    async def put(self, attempt: Attempt, names: Sequence[str], reply: Reply) -> Attempt:
        """Put checks to the reply of the last attempt, all at once, until the request's deadline;
        return the attempt with what they found."""
        for name in names:
            if name not in self.running:
                self._start(attempt.tier, name)
            self.running[name].reply.set_result(reply)
        asked = [self.running[name] for name in names]
        began = self._run.parts.clock()
        left = max(self._run.job.plan.deadline - self._run.elapsed(), 0.0)
        await asyncio.wait([each.task for each in asked], timeout=left)
        await end(*(each.task for each in asked))
        self._run.waited += self._run.parts.clock() - began
        for each in asked:
            del self.running[each.name]
        return self._booked(attempt, asked, "deadline")

    async def drop(self, why: str = "left") -> bool:
        """End what is under way, and write it down with the last attempt; was there anything?"""
        asked = list(self.running.values())
        if not asked:
            return False
        try:
            await end(*(each.task for each in asked))
        finally:
            self.running.clear()
            *before, last = self._run.attempts
            self._run.attempts = (*before, self._booked(last, asked, why))
        return True

    def _start(self, tier: Tier, name: str) -> None:
        run = self._run
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        calls = BookedCalls(run.parts, run.job, "check")

        async def its_reply() -> Reply:
            return await asyncio.shield(reply)

        heard = self._heard.setdefault(tier.name, [])
        question = Question(run.job.request, tier, run.job.signals, its_reply, heard)
        left = max(run.job.plan.deadline - run.elapsed(), 0.0)
        task = asyncio.create_task(run.parts.examiners[name].examine(question, left, calls))
        self.running[name] = _Running(name, task, reply, calls, run.parts.clock())

    def _booked(self, attempt: Attempt, asked: Sequence[_Running], unfinished: str) -> Attempt:
        evidence: list[Evidence] = []
        calls: list[CallRecord] = []
        for each in asked:
            book = each.calls.book
            self._run.slots += book.slots
            calls += book.calls
            cost = sum(call.cost.total for call in book.calls)
            seconds = self._run.parts.clock() - each.began
            found = self._found(each, unfinished)
            evidence.append(Evidence(each.name, found, seconds, cost))
        return replace(
            attempt,
            evidence=(*attempt.evidence, *evidence),
            checking=(*attempt.checking, *calls),
        )

    def _found(self, each: _Running, unfinished: str) -> Finding:
        if each.task.cancelled():
            return Finding("abstain", unfinished)
        if (error := each.task.exception()) is None:
            return each.task.result()
        entry_id = self._run.job.origin.entry_id
        told = "The check %s failed on the reply of the entry %s."
        LOGGER.error(told, each.name, entry_id, exc_info=error)
        return Finding("abstain", "error")
