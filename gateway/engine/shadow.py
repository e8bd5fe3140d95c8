"""Asks the tier that the policy would have started at, in the background, where the baseline was
served: what it would have said is judged and recorded. No client waits for it, and none hears."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from dataclasses import replace

from gateway.core.chat import ChatRequest
from gateway.core.judging import judged
from gateway.core.ledger import Entry
from gateway.core.outcome import Attempt
from gateway.core.plan import Plan
from gateway.core.shadow import Shadow, drawn
from gateway.engine.drafting import Drafting
from gateway.engine.state import LOGGER, NOBODY, Job, Parts, Run, Scoring

AT_ONCE = 8
"""Shadows under way in one process; what comes on top of them is skipped, and counted so."""
GRACE = 2.0
"""Seconds that they are left when the gateway closes; then they are cancelled."""


class ShadowCalls:
    """One configuration's shadows, while they are under way."""

    def __init__(self, parts: Parts, at_once: int = AT_ONCE) -> None:
        """`parts` are the engine's."""
        self._parts, self._at_once = parts, at_once
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, job: Job, entry: Entry, holding: AbstractContextManager[None]) -> bool:
        """Ask, if this request is to be asked about; say whether the sinks will hear of it.
        Returns at once and raises nothing.

        `holding` is kept open meanwhile, so that nobody closes the upstreams.
        """
        plan = _wanted(job, entry)
        if plan is None:
            return False
        if len(self._tasks) >= self._at_once:
            self._tell(Shadow(entry.origin.entry_id, entry.route))
            return True
        holding.__enter__()
        task = asyncio.create_task(self._ask(job, plan))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._over(done, holding))
        return True

    def _over(self, task: asyncio.Task[None], holding: AbstractContextManager[None]) -> None:
        self._tasks.discard(task)
        holding.__exit__(None, None, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            LOGGER.error("A shadow failed; its request had been served.", exc_info=error)

    async def close(self, grace: float = GRACE) -> None:
        """Wait for those under way, at most `grace` seconds; then cancel them. Each is recorded."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, job: Job, plan: Plan) -> None:
        parts, tier = self._parts, plan.tiers[0]
        started_at = parts.wall()
        run = Run(parts, _shadowed(job, plan, parts.clock()), NOBODY)
        draft = Drafting(run, tier, False)
        try:
            await draft.call()
        finally:
            attempt = _judged(run, draft.attempt())
            self._keep(Shadow(job.origin.entry_id, job.route.name, started_at, attempt), run)

    def _keep(self, shadow: Shadow, run: Run) -> None:
        try:
            self._parts.journal.append_shadow(shadow, tuple(run.slots))
        except Exception:  # noqa: BLE001 (its marks stay, so that recovery finds its calls)
            LOGGER.exception("The shadow of the entry %s was not kept.", shadow.entry_id)
        self._tell(shadow)

    def _tell(self, shadow: Shadow) -> None:
        for sink in self._parts.shadow_sinks:
            try:
                sink(shadow)
            except Exception:  # noqa: BLE001 (a reader's fault is no other's)
                LOGGER.exception("A sink could not read the shadow of %s.", shadow.entry_id)


def _wanted(job: Job, entry: Entry) -> Plan | None:
    """Return the plan to ask by: where the policy would have started at another tier than the one
    that served, and the request is among the share that is asked."""
    would, served = job.would, entry.outcome.served
    if would is None or served is None or would.tiers[0].name == served.tier.name:
        return None
    return would if drawn(entry.origin.entry_id, job.route.shadow) else None


def _shadowed(job: Job, plan: Plan, now: float) -> Job:
    """The same request by the policy's own plan, asked for whole."""
    left_out = {"stream", "stream_options"}
    body = {name: value for name, value in job.request.body.items() if name not in left_out}
    return replace(
        job,
        request=ChatRequest(body),
        plan=plan,
        arrived=now,
        purpose="shadow",
        scoring=Scoring(),
    )


def _judged(run: Run, attempt: Attempt) -> Attempt:
    """Put the free checks to a reply, and judge it by them."""
    if attempt.reply is not None:
        free = (spec.name for spec in attempt.tier.bar.checks if spec.free)
        evidence = tuple(run.ask(attempt.tier, free, attempt.reply))
        attempt = replace(attempt, evidence=evidence)
    return judged(run.job.plan, attempt)
