"""The playbook of `next_step`: what each attempt was, and what follows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core.tries import (
    FREE_BAR,
    GOOD,
    LARGE,
    MEDIUM,
    PAID_BAR,
    SMALL,
    TIERS,
    WEAK,
    accepted,
    attempt,
    broken,
    failed,
    fallen,
    last,
    left,
    plan,
    step,
    trusted,
    weak,
)

from gateway.core.cascade import affordable, best_deferred, may_escalate, next_step
from gateway.core.errors import (
    ContentRefused,
    ContextTooLong,
    UpstreamBusy,
    UpstreamDown,
    UpstreamRefusedUs,
    UpstreamRejected,
)
from gateway.core.verdict import PASS, Evidence

DOWN = UpstreamDown("no connection")
REJECTED = UpstreamRejected("bad", status=422, param="tools", code="nope")
TOO_LONG = ContextTooLong("too long")
REFUSED = ContentRefused("no")
ALL = plan()
TWO = plan((MEDIUM, LARGE), (SMALL,))
TOP = plan((LARGE,), (MEDIUM, SMALL))
FREE = replace(SMALL, bar=FREE_BAR)
PAID = replace(SMALL, bar=PAID_BAR)
PAID_LAST = replace(LARGE, bar=PAID_BAR)
UNKNOWN = replace(SMALL, context=None)
ENDLESS = replace(LARGE, context=None)
SAME = replace(MEDIUM, context=1_000)

LATE = 60.0
"""The deadline of every plan here, to the second."""


def on(given, *attempts, at=1.0, then):
    return given, attempts, at, then


RULES = {
    # 1: nothing tried
    "1 the first tier is called": on(ALL, at=0.0, then="call small"),
    "1 the plan says which is first": on(TWO, at=0.0, then="call medium"),
    "1 just in time": on(ALL, at=59.999, then="call small"),
    "1 too late before any call": on(ALL, at=LATE, then="give up: DeadlineExceeded"),
    # 2: more evidence
    "2 free checks, all at once": on(
        plan((FREE, LARGE)), attempt(FREE, None, asked=[]), then="consult shape refusal"
    ),
    "2 only those not asked yet": on(
        plan((FREE, LARGE)), attempt(FREE, None, asked=["shape"]), then="consult refusal"
    ),
    "2 free before paid": on(
        plan((PAID, LARGE)), attempt(PAID, None, asked=[]), then="consult shape"
    ),
    "2 then the cheapest paid": on(
        plan((PAID, LARGE)), attempt(PAID, GOOD, asked=["shape"]), then="consult judge"
    ),
    "2 then the next paid": on(
        plan((PAID, LARGE)), attempt(PAID, GOOD, asked=["shape", "judge"]), then="consult panel"
    ),
    "2 then no more": on(plan((PAID, LARGE)), accepted(PAID), then="deliver small"),
    "2 nothing is paid once a check has failed": on(
        plan((PAID, LARGE)), attempt(PAID, WEAK, asked=["shape"]), then="call large"
    ),
    "2 nor after the deadline": on(
        plan((PAID, LARGE)),
        attempt(PAID, GOOD, asked=["shape"]),
        at=LATE,
        then="consult panel judge: deadline",
    ),
    "2 but up to it": on(
        plan((PAID, LARGE), ceiling=170),
        attempt(PAID, GOOD, 100, asked=["shape"]),
        then="consult judge",
    ),
    "2 nor for what the client has": on(
        plan((PAID, LARGE)),
        attempt(PAID, GOOD, asked=["shape"], released=True),
        then="deliver small",
    ),
    "2 nor at the last tier": on(
        plan((PAID_LAST,)), last(PAID_LAST, asked=["shape"]), then="deliver large"
    ),
    "2 free ones are asked there too, for the record": on(
        plan((PAID_LAST,)), last(PAID_LAST, asked=[]), then="consult shape"
    ),
    "2 and of what was released, for the late verdict": on(
        plan((FREE, LARGE)), trusted(FREE, asked=[]), then="consult shape refusal"
    ),
    "2 free ones even when it is late": on(
        plan((FREE, LARGE)), attempt(FREE, None, asked=[]), at=LATE, then="consult shape refusal"
    ),
    "2 a draft that was left is asked nothing": on(
        plan((FREE, LARGE)), replace(left(FREE), evidence=()), then="call large"
    ),
    # 3: accepted
    "3 an accepted reply is delivered": on(ALL, accepted(SMALL), then="deliver small"),
    "3 even when it is late": on(ALL, accepted(SMALL), at=99.0, then="deliver small"),
    "3 of a higher tier": on(ALL, weak(SMALL), accepted(MEDIUM), then="deliver medium"),
    "3 of the last": on(ALL, weak(SMALL), weak(MEDIUM), last(LARGE), then="deliver large"),
    "3 what was released is finished": on(ALL, trusted(SMALL), then="deliver small"),
    "3 whatever its verdict is now": on(ALL, weak(SMALL, released=True), then="deliver small"),
    "3 a fallen-to tier is degraded": on(
        TOP, failed(LARGE, DOWN), fallen(MEDIUM), then="deliver medium degraded"
    ),
    # 4: failed after release
    "4 no second chance": on(ALL, failed(SMALL, DOWN, released=True), then="give up: StreamBroken"),
    "4 not even for a better reply below": on(
        ALL, weak(SMALL), failed(MEDIUM, DOWN, released=True), then="give up: StreamBroken"
    ),
    "4 nor a bare one": on(
        ALL, failed(SMALL, REJECTED, released=True, altered=True), then="give up: StreamBroken"
    ),
    # 5: rejected
    "5 the client's own fault": on(ALL, failed(SMALL, REJECTED), then="give up: UpstreamRejected"),
    "5 or ours: once more without our additions": on(
        ALL, failed(SMALL, REJECTED, altered=True), then="call small bare"
    ),
    "5 but once": on(
        ALL, failed(SMALL, REJECTED, altered=True, bare=True), then="give up: UpstreamRejected"
    ),
    "5 and in time": on(
        ALL, failed(SMALL, REJECTED, altered=True), at=LATE, then="give up: UpstreamRejected"
    ),
    "5 a lower tier had answered": on(
        ALL, weak(SMALL), failed(MEDIUM, REJECTED), then="deliver small degraded"
    ),
    "5 too long, but shorter without the recipe": on(
        ALL, failed(SMALL, TOO_LONG, altered=True), then="call small bare"
    ),
    "5 too long: a larger window": on(ALL, failed(SMALL, TOO_LONG), then="call medium"),
    "5 too long: no larger window": on(
        plan((SMALL, SAME)), failed(SMALL, TOO_LONG), then="give up: ContextTooLong"
    ),
    "5 too long: a smaller window": on(
        plan((MEDIUM, SMALL)), failed(MEDIUM, TOO_LONG), then="give up: ContextTooLong"
    ),
    "5 too long: its own window is unknown": on(
        plan((UNKNOWN, LARGE)), failed(UNKNOWN, TOO_LONG), then="call large"
    ),
    "5 too long: the next window is unknown": on(
        plan((SMALL, ENDLESS)), failed(SMALL, TOO_LONG), then="call large"
    ),
    "5 too long for the last": on(
        ALL, weak(SMALL), weak(MEDIUM), failed(LARGE, TOO_LONG), then="deliver medium degraded"
    ),
    "5 too long, and the larger is too dear": on(
        plan(ceiling=499), failed(SMALL, TOO_LONG), then="give up: ContextTooLong"
    ),
    "5 too long, and too late for the larger": on(
        ALL, failed(SMALL, TOO_LONG), at=LATE, then="give up: ContextTooLong"
    ),
    "5 another tier's moderation may differ": on(ALL, failed(SMALL, REFUSED), then="call medium"),
    "5 until there is no other": on(
        ALL,
        failed(SMALL, REFUSED),
        failed(MEDIUM, REFUSED),
        failed(LARGE, REFUSED),
        then="give up: ContentRefused",
    ),
    "5 and not downwards": on(TOP, failed(LARGE, REFUSED), then="give up: ContentRefused"),
    "5 our key or model name was refused: not the client's fault": on(
        ALL, failed(SMALL, UpstreamRefusedUs("401"), altered=True), then="call medium"
    ),
    # 6: the next tier
    "6 deferred": on(ALL, weak(SMALL), then="call medium"),
    "6 deferred on its prefix": on(ALL, left(SMALL), then="call medium"),
    "6 deferred twice": on(ALL, weak(SMALL), weak(MEDIUM), then="call large"),
    "6 failed": on(ALL, failed(SMALL, DOWN), then="call medium"),
    "6 busy": on(ALL, failed(SMALL, UpstreamBusy("429")), then="call medium"),
    "6 not called again bare for that": on(
        ALL, failed(SMALL, DOWN, altered=True), then="call medium"
    ),
    "6 just in time": on(ALL, weak(SMALL), at=59.999, then="call medium"),
    "6 up to the ceiling": on(plan(ceiling=600), weak(SMALL, 100), then="call medium"),
    # 7: the best of what there is
    "7 too late": on(ALL, weak(SMALL), at=LATE, then="deliver small degraded"),
    "7 over the ceiling": on(plan(ceiling=599), weak(SMALL, 100), then="deliver small degraded"),
    "7 checks count too": on(
        plan(ceiling=600),
        replace(weak(SMALL, 100), evidence=(Evidence("judge", PASS, cost=1),)),
        then="deliver small degraded",
    ),
    "7 the strongest": on(
        ALL, weak(SMALL), weak(MEDIUM), failed(LARGE, DOWN), then="deliver medium degraded"
    ),
    "7 an unbroken one first": on(
        ALL, weak(SMALL), broken(MEDIUM), failed(LARGE, DOWN), then="deliver small degraded"
    ),
    "7 a broken one before none": on(
        ALL, broken(SMALL), failed(MEDIUM, DOWN), failed(LARGE, DOWN), then="deliver small degraded"
    ),
    "7 never a prefix": on(
        ALL, weak(SMALL), left(MEDIUM), failed(LARGE, DOWN), then="deliver small degraded"
    ),
    "7 a reply before a lower tier": on(
        TWO, weak(MEDIUM), failed(LARGE, DOWN), then="deliver medium degraded"
    ),
    "7 a lower tier": on(TWO, failed(MEDIUM, DOWN), failed(LARGE, DOWN), then="call small"),
    "7 the strongest of the lower first": on(TOP, failed(LARGE, DOWN), then="call medium"),
    "7 then the next": on(TOP, failed(LARGE, DOWN), failed(MEDIUM, DOWN), then="call small"),
    "7 one that can be paid": on(
        plan((LARGE,), (MEDIUM, SMALL), ceiling=499), failed(LARGE, DOWN), then="call small"
    ),
    # 8: nothing at all
    "8 every tier failed": on(
        ALL,
        failed(SMALL, DOWN),
        failed(MEDIUM, DOWN),
        failed(LARGE, DOWN),
        then="give up: Exhausted",
    ),
    "8 the lower ones too": on(
        TOP,
        failed(LARGE, DOWN),
        failed(MEDIUM, DOWN),
        failed(SMALL, DOWN),
        then="give up: Exhausted",
    ),
    "8 none may be called any more": on(
        TOP, failed(LARGE, DOWN), at=LATE, then="give up: Exhausted"
    ),
    "8 left for a tier that then had no time": on(
        ALL, left(SMALL), at=LATE, then="give up: DeadlineExceeded"
    ),
}


@pytest.mark.parametrize(("given", "attempts", "elapsed", "expected"), RULES.values(), ids=RULES)
def test_what_follows(given, attempts, elapsed, expected):
    assert step(given, attempts, elapsed) == expected


def test_a_rejection_is_passed_on_as_it_was():
    given_up = next_step(ALL, (failed(SMALL, REJECTED),), 1.0).error
    assert given_up is REJECTED
    assert (given_up.status, given_up.param, given_up.code) == (422, "tools", "nope")


def test_a_broken_stream_says_what_broke_it():
    broke = next_step(ALL, (failed(SMALL, DOWN, released=True),), 1.0).error
    assert "no connection" in broke.message


def test_exhausted_carries_every_failure_in_order():
    busy = UpstreamBusy("busy")
    attempts = (failed(SMALL, busy), failed(MEDIUM, DOWN), failed(LARGE, DOWN))
    error = next_step(ALL, attempts, 1.0).error
    assert error.failures == (("small", busy), ("medium", DOWN), ("large", DOWN))


def test_escalating_needs_a_tier_time_and_money():
    assert may_escalate(ALL, (), SMALL, 1.0)
    assert not may_escalate(ALL, (), LARGE, 1.0)
    assert not may_escalate(ALL, (), SMALL, LATE)
    assert may_escalate(plan(ceiling=500), (), SMALL, 1.0)
    assert not may_escalate(plan(ceiling=499), (), SMALL, 1.0)


def test_a_draft_s_own_cost_counts_before_it_is_left():
    assert may_escalate(plan(ceiling=510), (), SMALL, 1.0, drafted=10)
    assert not may_escalate(plan(ceiling=510), (), SMALL, 1.0, drafted=11)
    assert not affordable(plan(ceiling=510), (weak(SMALL, 10),), MEDIUM, 1.0, drafted=1)


def test_a_tier_without_an_estimate_costs_nothing_in_advance():
    assert affordable(replace(plan(ceiling=0), expected={}), (), LARGE, 1.0)


def test_nothing_deferred_nothing_best():
    assert best_deferred(()) is None
    assert best_deferred((left(SMALL), failed(MEDIUM, DOWN))) is None


def test_a_reply_without_a_verdict_counts_as_unbroken():
    unjudged = attempt(SMALL, None)
    assert best_deferred((unjudged, broken(MEDIUM))) is unjudged


def test_every_tier_is_called_at_most_twice():
    """Whatever the tiers say, the plan ends: the worst case is a bare retry of each."""
    attempts, calls = [], 0
    given = plan((MEDIUM, LARGE), (SMALL,))
    while (words := step(given, attempts)).startswith("call"):
        calls += 1
        tier = next(tier for tier in TIERS if tier.name == words.split()[1])
        bare = words.endswith("bare")
        failure = DOWN if bare else REJECTED
        attempts = [
            *attempts[: len(attempts) - bare],
            failed(tier, failure, altered=True, bare=bare),
        ]
    assert (calls, words) == (6, "give up: Exhausted")
