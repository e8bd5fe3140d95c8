"""When a second call is started beside a first, what it may cost, and that an outrun one decides
nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core.tries import LARGE, MEDIUM, PAID_BAR, SMALL, accepted, attempt, failed, paid, plan, weak

from gateway.core.cascade import Call, Consult, Deliver, GiveUp, Race, next_step
from gateway.core.difficulty import Difficulty
from gateway.core.errors import UpstreamDown
from gateway.core.ledger import Escalation, escalations
from gateway.core.outcome import Attempt, Outcome
from gateway.core.plan import Hedge
from gateway.core.routing import Overrides, Route, Speculation, make_plan
from gateway.core.signals import Signals

DOWN = UpstreamDown("no connection")
GUESS = plan((SMALL, LARGE), speculate=0.25)
SAME = replace(SMALL, hedge=Hedge(1.5))
NEXT = replace(SMALL, hedge=Hedge(2.5, "next"))
PAID = replace(SMALL, bar=PAID_BAR)


def outrun(tier, cost=0, *, rival=True, failure=None):
    return Attempt(tier, paid(tier, cost), left=True, rival=rival, failure=failure)


def call(given, *attempts):
    return next_step(given, attempts, 1.0)


# ------------------------------------------------------------------ when

RACES = {
    "a guess": (GUESS, Race(LARGE, 0.25, "verdict")),
    "with nothing above": (plan((SMALL,), speculate=0.25), None),
    "no guess": (plan((SMALL, LARGE)), None),
    "a hedge at the same tier": (plan((SAME, LARGE)), Race(SAME, 1.5, "first_token")),
    "a hedge at the last": (plan((SAME,)), Race(SAME, 1.5, "first_token")),
    "a hedge at the next": (plan((NEXT, LARGE)), Race(LARGE, 2.5, "first_token")),
    "where there is none": (plan((NEXT,)), None),
    "a guess goes before a hedge": (plan((SAME, LARGE), speculate=0.0), Race(LARGE, 0, "verdict")),
}


@pytest.mark.parametrize(("given", "race"), RACES.values(), ids=RACES)
def test_who_is_started_beside_the_first(given, race):
    assert call(given) == Call(given.tiers[0], race=race)


def test_a_guess_is_for_the_first_call_alone():
    three = plan((SMALL, MEDIUM, LARGE), speculate=0.25)
    assert call(three, weak(SMALL)) == Call(MEDIUM)


def test_a_hedge_is_for_every_call_of_its_tier():
    hedged = replace(MEDIUM, hedge=Hedge(1.5))
    race = Race(hedged, 1.5, "first_token")
    assert call(plan((SMALL, hedged, LARGE)), weak(SMALL)) == Call(hedged, race=race)
    fallen = plan((LARGE,), (hedged,))
    assert call(fallen, failed(LARGE, DOWN)) == Call(hedged, race=race)


@pytest.mark.parametrize(("ceiling", "raced"), [(5_099, False), (5_100, True), (None, True)])
def test_a_race_has_to_be_paid_with_the_call_it_is_for(ceiling, raced):
    assert (call(replace(GUESS, ceiling=ceiling)).race is not None) == raced
    hedged = plan((NEXT, LARGE), ceiling=ceiling)
    assert (call(hedged).race is not None) == raced


# ------------------------------------------------------------------ what it comes to

AFTER = {
    "a good draft is delivered": (GUESS, [outrun(LARGE, 40), accepted(SMALL)], Deliver),
    "a poor one calls the next": (GUESS, [weak(SMALL)], Call),
    "a failed guess is no try": (GUESS, [outrun(LARGE, failure=DOWN), weak(SMALL)], Call),
    "nor is it one in the other order": (GUESS, [weak(SMALL), outrun(LARGE, failure=DOWN)], Call),
}


@pytest.mark.parametrize(("given", "attempts", "step"), AFTER.values(), ids=AFTER)
def test_what_was_outrun_decides_nothing(given, attempts, step):
    done = call(given, *attempts)
    assert type(done) is step
    assert done == next_step(given, tuple(a for a in attempts if not a.outrun), 1.0)


def test_what_was_outrun_is_not_served_nor_told_of():
    whole = replace(outrun(LARGE), reply=weak(LARGE).reply)
    done = call(GUESS, whole, weak(SMALL), failed(LARGE, DOWN))
    assert isinstance(done, Deliver)
    assert done.attempt.tier is SMALL
    ended = call(GUESS, outrun(LARGE, failure=DOWN), failed(SMALL, DOWN), failed(LARGE, DOWN))
    assert isinstance(ended, GiveUp)
    assert [tier for tier, _ in ended.error.failures] == ["small", "large"]


def test_a_lower_tier_that_was_only_outrun_has_not_been_tried():
    hedged = replace(MEDIUM, hedge=Hedge(1.5))
    fallen = plan((LARGE,), (hedged, SMALL))
    done = call(fallen, failed(LARGE, DOWN), outrun(hedged))
    assert isinstance(done, Call)
    assert done.tier is hedged


def test_but_what_it_cost_counts():
    given = replace(GUESS, ceiling=5_100)
    assert isinstance(call(given, outrun(LARGE, 1), weak(SMALL, 100)), Deliver)
    assert isinstance(call(given, outrun(LARGE, 0), weak(SMALL, 100)), Call)


@pytest.mark.parametrize(
    ("ceiling", "speculate", "asked"),
    [(5_170, 0.0, True), (5_169, 0.0, False), (5_169, None, True)],
)
def test_a_paid_check_leaves_what_the_guess_under_way_may_cost(ceiling, speculate, asked):
    given = plan((PAID, LARGE), ceiling=ceiling, speculate=speculate)
    drafted = attempt(PAID, accepted(SMALL).verdict, 100, asked=["shape"])
    step = call(given, drafted)
    assert isinstance(step, Consult)
    assert step.barred == ("" if asked else "budget")


def test_a_replay_counts_the_guess_as_it_was_counted():
    given = plan((PAID, LARGE), ceiling=5_170, speculate=0.0)
    drafted = attempt(PAID, accepted(SMALL).verdict, 100, asked=["shape"])
    assert isinstance(call(given, outrun(LARGE, 9_000), drafted), Consult)
    assert call(given, outrun(LARGE, 9_000)) == call(given)


def test_a_paid_check_does_not_wait_for_a_guess_that_could_not_be_paid():
    given = plan((PAID, LARGE), ceiling=500, speculate=0.0)
    drafted = attempt(PAID, accepted(SMALL).verdict, 100, asked=["shape"])
    assert call(given, drafted) == Consult(("judge",))


# ------------------------------------------------------------------ what is told of it

DEFERRED = Escalation("small", "large", "deferral", "low_confidence")
TOLD = {
    "a guess in vain": ([outrun(LARGE), accepted(SMALL)], False, []),
    "a guess that came true": ([weak(SMALL), accepted(LARGE, rival=True)], True, [DEFERRED]),
    "a guess that failed, and a call": (
        [outrun(LARGE, failure=DOWN), weak(SMALL), accepted(LARGE)],
        True,
        [DEFERRED],
    ),
    "a hedge at the same tier, lost": ([outrun(SMALL), accepted(SMALL)], False, []),
    "and won": ([outrun(SMALL, rival=False), accepted(SMALL, rival=True)], False, []),
    "a hedge at the next, lost": ([outrun(LARGE), accepted(SMALL)], False, []),
    "and won by the next": (
        [outrun(SMALL, rival=False), accepted(LARGE, rival=True)],
        True,
        [Escalation("small", "large", "hedge", "slow")],
    ),
}


@pytest.mark.parametrize(("attempts", "escalated", "moves"), TOLD.values(), ids=TOLD)
def test_what_counts_as_an_escalation(attempts, escalated, moves):
    outcome = Outcome(tuple(attempts), attempts[-1])
    assert (outcome.escalated, escalations(outcome)) == (escalated, moves)


# ------------------------------------------------------------------ where

SIGNALS = Signals()
ROUTE = Route("r", (SMALL, MEDIUM, LARGE), speculate=Speculation((0.6, 0.8), 0.5))


def planned(value, route=ROUTE, signals=SIGNALS, **asked):
    return make_plan(route, signals, Difficulty(value), Overrides(**asked))


@pytest.mark.parametrize(
    ("value", "after"), [(0.59, None), (0.6, 0.5), (0.79, 0.5), (0.8, None), (1.0, None)]
)
def test_a_guess_is_for_a_band_of_difficulties(value, after):
    assert planned(value).speculate == after


def test_it_is_for_a_start_at_the_first_tier():
    assert planned(0.7, thresholds=(0.65,)).speculate is None
    assert planned(0.7, tier="small").speculate is None
    assert planned(0.7, mode="observe").speculate is None
    assert planned(0.7, signals=Signals(prompt_tokens=2_000)).speculate is None
    assert planned(0.7, replace(ROUTE, speculate=None)).speculate is None
