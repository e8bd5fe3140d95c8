"""A request's calls: one at a time, or two beside each other where a plan or a tier asks for it.

What a race has decided against is cancelled at once and booked; whatever happens, nothing is left
running when the request ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

from gateway.core.cascade import Call, Race
from gateway.core.judging import judged
from gateway.core.plan import Tier
from gateway.core.repair import mended
from gateway.engine.checking import Examining
from gateway.engine.drafting import Drafting
from gateway.engine.ending import end
from gateway.engine.lane import Lane
from gateway.engine.state import LOGGER, Run


class HedgeBudget:
    """Keeps hedges to their share of a tier's streams: each stream saves a part of one, each
    hedge spends a whole one."""

    MOST = 10.0
    """Hedges that can be saved up, for when many streams are slow at once."""

    def __init__(self) -> None:
        """The first slow stream of a tier may be hedged."""
        self._saved: dict[str, float] = {}

    def save(self, tier: Tier) -> None:
        """Count one more stream."""
        share = tier.hedge.share if tier.hedge else 0.0
        self._saved[tier.name] = min(self._saved.get(tier.name, 1.0) + share, self.MOST)

    def spend(self, tier: Tier) -> bool:
        """Is there a hedge left? Then it is spent."""
        if self._saved.get(tier.name, 0.0) < 1.0:
            return False
        self._saved[tier.name] -= 1.0
        return True


class _Runner:
    """A call in a task of its own, begun after so many seconds."""

    def __init__(self, run: Run, tier: Tier, lane: Lane, *, after: float = 0.0) -> None:
        self.tier, self.lane = tier, lane
        self.draft: Drafting | None = None
        self.booked = False
        self.task = asyncio.create_task(self._run(run, after))

    async def _run(self, run: Run, after: float) -> None:
        if after:
            await asyncio.sleep(after)
        self.draft = Drafting(run, self.tier, False, None, self.lane)
        await self.draft.call()

    @property
    def hope(self) -> Drafting | None:
        """Its draft, if that has begun and not failed."""
        if self.draft is None or self.draft.failed or _fault(self.task) is not None:
            return None
        return self.draft


class Calls:
    """One request's calls. Whoever has them drops them in the end, whatever happens."""

    def __init__(self, run: Run, budget: HedgeBudget) -> None:
        """Nothing runs yet."""
        self._run, self._budget = run, budget
        self.guess: _Runner | None = None
        """What is run beside the call that decides."""
        self._at = 0
        """Where among the attempts those stand that are outrun."""

    def make(self, step: Call, examining: Examining | None) -> Awaitable[None]:
        """Do a step's call; its attempt is added however the call ends."""
        guess = self.guess
        if guess is not None and not (step.bare or step.repair):
            draft = guess.hope
            if draft is not None and guess.tier.name == step.tier.name:
                return self._adopt(draft, guess.task)
            return self.drop()  # and decide again, with what it cost
        race = step.race
        if race is not None and race.by == "first_token" and self._run.stream:
            return _Hedged(self._run, step, race).race(self._budget)
        if race is not None and race.by == "verdict":
            self._at = len(self._run.attempts)
            lane = Lane(is_open=False)
            self.guess = _Runner(self._run, race.tier, lane, after=race.after)
        return self._alone(step, examining)

    async def drop(self) -> None:
        """Give up what was started for nothing."""
        guess, self.guess = self.guess, None
        if guess is not None:
            await _give_up(self._run, guess, self._at, rival=True)

    async def _alone(self, step: Call, examining: Examining | None) -> None:
        """Make the one call that decides; when it is released, a guess beside it is given up."""
        run = self._run
        lane = Lane(is_open=True, first=self.drop) if self.guess else None
        request = mended(run.job.request, run.attempts[-1]) if step.repair else None
        draft = Drafting(run, step.tier, step.bare, request, lane)
        if examining and not step.bare and not step.repair:
            examining.begin(step.tier)
        try:
            await draft.call()
        finally:
            _add(self._run, draft, bare=step.bare)

    async def _adopt(self, draft: Drafting, task: asyncio.Task[None]) -> None:
        """Go on with what was started beside the draft that was deferred."""
        self.guess = None
        draft.waited_for_since(self._run.parts.clock(), self._run.paused)
        try:
            await draft.take_the_floor()
            await task
        finally:
            try:
                await end(task)
            finally:
                _add(self._run, draft, rival=True)


class _Hedged:
    """A race to the first token between two calls."""

    def __init__(self, run: Run, step: Call, race: Race) -> None:
        self._run, self._tier, self._race = run, step.tier, race
        self._at = len(run.attempts)
        self._began, self._paused = run.parts.clock(), run.paused
        self._runners: list[_Runner] = []
        self._winner: _Runner | None = None
        self._heard = asyncio.get_running_loop().create_future()

    async def race(self, budget: HedgeBudget) -> None:
        budget.save(self._tier)
        try:
            first = self._start(self._tier)
            await self._news(self._race.after)
            if not self._decided and not first.task.done() and budget.spend(self._tier):
                self._start(self._race.tier)
            while not self._decided:
                await self._news()
            await self._chosen.task
        finally:
            await self._close()

    def _start(self, tier: Tier) -> _Runner:
        lane = Lane(is_open=False, spoken=lambda: self._hear(runner), first=self._give_up_others)
        runner = _Runner(self._run, tier, lane)
        self._runners.append(runner)
        return runner

    def _hear(self, runner: _Runner) -> None:
        """Whoever speaks first has won; the others are cancelled before they can say a word."""
        if self._winner is None:
            self._winner = runner
            runner.lane.open()
            for other in self._runners:
                if other is not runner:
                    other.task.cancel()
            self._heard.set_result(None)

    async def _news(self, seconds: float | None = None) -> None:
        """Wait until somebody speaks or ends."""
        running = {each.task for each in self._runners if not each.task.done()}
        await asyncio.wait(
            {self._heard, *running}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )

    @property
    def _decided(self) -> bool:
        """Has one won, or ended without a failure, or have all ended?"""
        done = [each for each in self._runners if each.task.done()]
        whole = any(each.hope for each in done)
        return self._winner is not None or whole or len(done) == len(self._runners)

    @property
    def _chosen(self) -> _Runner:
        """The one that decides what is next."""
        done = [each for each in self._runners if each.task.done() and each.hope]
        return self._winner or (done or self._runners)[0]

    async def _give_up_others(self) -> None:
        chosen = self._chosen
        for place, runner in enumerate(self._runners):
            if runner is not chosen:
                await _give_up(self._run, runner, self._at, rival=place > 0)

    async def _close(self) -> None:
        """End and book all of them: the chosen one last."""
        if not self._runners:
            return
        chosen = self._chosen
        try:
            await self._give_up_others()
        finally:
            try:
                await end(chosen.task)
            finally:
                self._book(chosen)

    def _book(self, chosen: _Runner) -> None:
        _fault(chosen.task)  # it was raised already, or nobody is there to hear of it
        if chosen.draft is not None:
            chosen.draft.waited_for_since(self._began, self._paused)
            _add(self._run, chosen.draft, rival=chosen is not self._runners[0])


async def _give_up(run: Run, runner: _Runner, at: int, *, rival: bool) -> None:
    """End a call that is not needed, and book it as an attempt in front of the one that is."""
    try:
        await end(runner.task)
    finally:
        if not runner.booked and runner.draft is not None:
            runner.booked = True
            _book_outrun(run, runner, runner.draft, at, rival=rival)


def _book_outrun(run: Run, runner: _Runner, draft: Drafting, at: int, *, rival: bool) -> None:
    attempt = replace(draft.attempt(outrun=True), rival=rival)
    if attempt.calls:  # else it is as if nobody had tried
        run.attempts = (*run.attempts[:at], attempt, *run.attempts[at:])
    if (fault := _fault(runner.task)) is not None:
        told = "A call that was not needed failed, in the entry %s."
        LOGGER.error(told, run.job.origin.entry_id, exc_info=fault)


def _fault(task: asyncio.Task[None]) -> BaseException | None:
    """Return what a task that has ended raised; a cancel is none."""
    return None if not task.done() or task.cancelled() else task.exception()


def _add(run: Run, draft: Drafting, *, bare: bool = False, rival: bool = False) -> None:
    """Close the books on a call; its attempt is the last there is."""
    attempt = judged(run.job.plan, draft.attempt(rival=rival))
    if bare:  # the same try at the same tier, of one call more
        *before, first = run.attempts
        whole = replace(
            attempt,
            calls=first.calls + attempt.calls,
            evidence=first.evidence + attempt.evidence,
            checking=first.checking,
            altered=True,
            bare=True,
            rival=first.rival,
        )
        run.attempts = (*before, whole)
    else:
        run.attempts = (*run.attempts, attempt)
