"""Replay: what a ledger row records of its attempts is enough for `next_step` to decide again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from engine.serving import serve
from hypothesis import given
from hypothesis import strategies as st
from properties.drafts import waterfalls
from properties.races import varied

from gateway.core import errors
from gateway.core.cascade import Call, Consult, Deliver, next_step
from gateway.core.chat import Choice, Reply
from gateway.core.errors import UpstreamError
from gateway.core.money import Cost
from gateway.core.outcome import Attempt, CallRecord
from gateway.core.verdict import Evidence, Finding, Verdict

BROKEN = {"empty", "schema_invalid", "tool_error"}
REPLY = Reply((Choice("not kept"),))
KINDS = {
    each.kind: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, UpstreamError)
}


def read_call(flat):
    cost = Cost(output=flat["cost"])
    return CallRecord("id", flat["tier"], "near", "m", 0.0, 0.0, flat["status"], cost=cost)


def failure(kind):
    return KINDS.get(kind, errors.UpstreamDown)("as recorded") if kind else None


def read_attempt(flat, plan):
    """An attempt as far as its row tells."""
    tier = next(each for each in (*plan.tiers, *plan.below) if each.name == flat["tier"])
    verdict = None
    if flat["verdict"]:
        accepted, reason = flat["verdict"] == "accept", flat["reason"]
        verdict = Verdict(accepted, reason, flat["confidence"], not accepted and reason in BROKEN)
    return Attempt(
        tier,
        tuple(map(read_call, flat["calls"])),
        reply=None if flat["failure"] else REPLY,
        evidence=tuple(
            Evidence(item["check"], Finding(item["result"], item["reason"]), cost=item["cost"])
            for item in flat["checks"]
        ),
        verdict=verdict,
        failure=failure(flat["failure"]),
        released=flat["released"],
        bare=flat["bare"],
        left=flat["left"],
    )


def first_try(attempt, flat):
    """A bare attempt as it was before its second call."""
    kind = next(call["error"] for call in flat["calls"] if not call["bare"])
    calls = tuple(
        c for c, each in zip(attempt.calls, flat["calls"], strict=True) if not each["bare"]
    )
    first = Attempt(attempt.tier, calls, failure=failure(kind), altered=True)
    return first, kind


@given(waterfalls(calm=True))
def test_a_row_replays_to_its_own_decisions(fall):
    replays(asyncio.run(serve(fall.setting, fall.scripts)))


@given(waterfalls(calm=True), st.integers(0, 2**32))
def test_so_does_one_with_races(fall, seed):
    case = varied(fall, seed, calm=True)
    replays(asyncio.run(serve(case.setting, case.scripts)))


def replays(story):
    row, plan = story.row, story.plan
    done = ()
    for flat in row["attempts"]:
        attempt = read_attempt(flat, plan)
        if attempt.outrun:
            done = (*done, attempt)
            continue
        step = next_step(plan, done, 0.0)
        assert isinstance(step, Call)
        raced = [step.race.tier] if step.race else []
        assert attempt.tier in [step.tier, *raced]
        assert not step.bare
        if attempt.bare:
            first, kind = first_try(attempt, flat)
            assert kind in {"rejected", "context_length", "content_filter", "not_found"}
            assert next_step(plan, (*done, first), 0.0) == Call(attempt.tier, bare=True)
        if attempt.evidence and not attempt.left:
            unasked = replace(attempt, evidence=(), verdict=None)
            names = tuple(item.check for item in attempt.evidence)
            assert next_step(plan, (*done, unasked), 0.0) == Consult(names)
        done = (*done, attempt)
    step = next_step(plan, done, 0.0)
    if row["outcome"] == "ok":
        assert isinstance(step, Deliver)
        assert (step.attempt.tier.name, step.degraded) == (row["tier"], row["degraded"])
        assert row["attempts"][done.index(step.attempt)]["served"]
    else:
        assert step.error.status == row["status"]
