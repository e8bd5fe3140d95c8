"""Drives one request through the cascade: does what `next_step` says, and keeps the record.

One path serves plain and streamed requests: a plain reply is a stream of one delta that is held
to its end. Deltas are pushed, so that leaving a draft closes its upstream at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gateway.core.cascade import Call, Consult, Deliver, GiveUp, next_step
from gateway.core.difficulty import fallen_back
from gateway.core.dispatch import dispatch
from gateway.core.errors import GatewayError
from gateway.core.judging import judged
from gateway.core.ledger import Entry
from gateway.core.outcome import Attempt, Outcome, change_attempt
from gateway.core.ports import Assessment, UpstreamCall
from gateway.core.streaming import Client
from gateway.core.verdict import Evidence, Finding
from gateway.engine.booking import BookedCalls
from gateway.engine.checking import Examining
from gateway.engine.racing import Calls, HedgeBudget
from gateway.engine.shadow import ShadowCalls
from gateway.engine.state import LOGGER, NOBODY, Job, Parts, Run, Undecided, new_job

__all__ = ["NOBODY", "Engine", "Job", "Parts", "ShadowCalls", "Undecided", "new_job"]


class Engine:
    """Serves requests with one configuration's parts; between them it keeps only how many hedges
    are left."""

    def __init__(self, parts: Parts) -> None:
        """`parts` is what driving a request needs."""
        self._parts = parts
        self._hedges = HedgeBudget()

    async def count(self, job: Job) -> int | None:
        """Have the tokens of the request counted by the upstream where its plan starts; None where
        that one does not count. Raises UpstreamError."""
        tier = job.plan.tiers[0]
        upstream = self._parts.counters.get(tier.upstreams[0])
        if tier.wire != "messages" or upstream is None:
            return None
        sent = dispatch(tier, job.request, judged=False, marker="", bare=True)
        call = UpstreamCall(
            self._parts.new_id(),
            tier,
            sent.body,
            stream=False,
            on_sent=lambda _="": None,
            native=sent.native,
            timeout=job.plan.deadline,
        )
        return await upstream.count(call)

    async def assess(self, job: Job) -> Job:
        """Ask the scorer that `job.undecided` names: returns the job with its difficulty, not yet
        planned anew. Its calls count towards the request's deadline and dollar ceiling.

        Raises nothing of its own; cancelled, it records what was spent and is cancelled.
        """
        pending = job.undecided
        if pending is None:
            return job
        calls = BookedCalls(self._parts, job)
        began = self._parts.clock()
        try:
            found = await _assess(pending, job, calls, job.plan.deadline - (began - job.arrived))
        except asyncio.CancelledError:
            Run(self._parts, replace(job, scoring=calls.book), NOBODY).record(
                Outcome(cancelled=True)
            )
            raise
        return replace(
            job,
            difficulty=found.difficulty,
            fallback=found.fallback,
            scoring=calls.book,
            decision=job.decision + self._parts.clock() - began,
            undecided=None,
        )

    async def say_again(self, job: Job, client: Client, served: Attempt) -> Entry:
        """Serve a reply that was kept and keep the record, as `run` does; without a call."""
        run = Run(self._parts, job, client)
        run.attempts = (served,)
        outcome = Outcome(run.attempts, served)
        try:
            if run.stream:
                await _deliver(run, outcome)
        except asyncio.CancelledError:
            run.record(Outcome((served,), cancelled=True))
            raise
        return run.record(outcome)

    async def run(self, job: Job, client: Client) -> Entry:
        """Serve one request, pushing a streamed reply into `client` as it may be seen; a plain one,
        whose client is NOBODY, is whole in the entry.

        The entry is kept before this returns, so before the last byte leaves. It never raises
        GatewayError (the outcome carries it); cancelled, it records that and is cancelled.
        """
        run = Run(self._parts, job, client)
        calls = Calls(run, self._hedges)
        examining = Examining(run) if self._parts.examiners else None
        try:
            try:
                last = await _walk(run, calls, examining)
                if calls.guess:
                    await calls.drop()
                outcome = _outcome(run, last)
                if run.stream:
                    await _deliver(run, outcome)
            finally:
                if calls.guess or (examining and examining.running):
                    await _end(calls, examining)
        except asyncio.CancelledError:
            run.record(Outcome(run.attempts, cancelled=True))
            raise
        except Exception:
            error = GatewayError("The gateway failed; this is a fault of ours, now in its log.")
            run.record(Outcome(run.attempts, error=error))
            raise
        return run.record(outcome)


async def _assess(pending: Undecided, job: Job, calls: BookedCalls, seconds: float) -> Assessment:
    """Ask, unless there is no time or money for it."""
    assessor, base, plan = pending.assessor, pending.base, job.plan
    if seconds <= 0:
        return Assessment(fallen_back(base), "deadline")
    expected = assessor.estimate(job.signals) + plan.expected.get(plan.tiers[0].name, 0)
    if plan.ceiling is not None and expected > plan.ceiling:
        return Assessment(fallen_back(base), "budget")
    try:
        return await assessor.assess(job.signals, base, seconds, calls)
    except Exception:  # noqa: BLE001 (a fault of ours: the base still has a word)
        LOGGER.exception("The scorer %s failed.", assessor.label)
        return Assessment(fallen_back(base), "error")


async def _walk(run: Run, calls: Calls, examining: Examining | None) -> Deliver | GiveUp:
    """Go from step to step, to the last one."""
    plan = run.job.plan
    while True:
        step = next_step(plan, run.attempts, run.reading())
        if isinstance(step, Consult):
            if step.barred or examining:
                await _consult(run, step, examining)
            else:
                _ask(run, step)
        elif examining and examining.running:
            await examining.drop()  # and decide again: the last attempt is another one now
        elif isinstance(step, Call):
            await calls.make(step, examining)
        else:
            return step


def _outcome(run: Run, last: Deliver | GiveUp) -> Outcome:
    if isinstance(last, Deliver):
        return Outcome(run.attempts, last.attempt, last.degraded)
    return Outcome(run.attempts, error=last.error)


async def _end(calls: Calls, examining: Examining | None) -> None:
    """Leave nothing running, nor unbooked, whatever happens."""
    try:
        if examining:
            await examining.drop()
    finally:
        await calls.drop()


async def _deliver(run: Run, outcome: Outcome) -> None:
    """Send what a stream was held to the end of."""
    served = outcome.served
    if served is not None and not served.released:
        await run.start(outcome)
        await run.send(served.held)


def _ask(run: Run, step: Consult) -> None:
    """Put checks to the last reply of which none waits."""
    last = run.attempts[-1]
    if last.reply is not None:
        evidence = (*last.evidence, *run.ask(last.tier, step.checks, last.reply))
        asked = judged(run.job.plan, last, evidence)
        run.attempts = (*run.attempts[:-1], asked)


async def _consult(run: Run, step: Consult, examining: Examining | None) -> None:
    """Put checks to the last reply: those that wait together, the others one by one."""
    *before, last = run.attempts
    reply = last.reply
    if reply is None:
        return
    if step.barred:
        if examining:
            await examining.drop(step.barred)
        *before, last = run.attempts
        known = {item.check for item in last.evidence}
        barred = Finding("abstain", step.barred)
        evidence = tuple(Evidence(name, barred) for name in step.checks if name not in known)
        run.attempts = (*before, judged(run.job.plan, last, last.evidence + evidence))
        return
    waiting = [name for name in step.checks if name in run.parts.examiners]
    at_once = [name for name in step.checks if name not in waiting]
    evidence = (*last.evidence, *run.ask(last.tier, at_once, reply))
    if waiting and examining:
        last = await examining.put(change_attempt(last, evidence=evidence), waiting, reply)
        evidence = last.evidence
    run.attempts = (*before, judged(run.job.plan, last, evidence))
