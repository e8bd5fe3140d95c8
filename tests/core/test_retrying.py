"""Whether a failed call is made again, and the budget that bounds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import (
    NotAsked,
    NotFoundThere,
    UpstreamBusy,
    UpstreamDown,
    UpstreamOverloaded,
    UpstreamRefusedUs,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.core.retrying import SAVED, Again, RetryBudget, again

DOWN = UpstreamDown("down")


def busy(wait):
    return UpstreamBusy("busy", retry_after=wait)


@pytest.mark.parametrize(
    ("error", "tries", "left", "elsewhere", "then"),
    [
        (DOWN, 1, 60.0, False, Again(0.0375)),
        (DOWN, 2, 60.0, False, Again(0.075)),
        (DOWN, 3, 60.0, False, "most"),
        (DOWN, 1, 0.03, False, "no_time"),
        (DOWN, 1, 60.0, True, Again(0.0)),
        (DOWN, 1, 0.0, True, "no_time"),
        (UpstreamOverloaded("full"), 1, 60.0, False, Again(0.0375)),
        (NotAsked("full"), 1, 60.0, False, "unsafe"),
        (NotAsked("full"), 1, 60.0, True, Again(0.0)),
        (busy(None), 1, 60.0, False, Again(0.0375)),
        (busy(1.0), 1, 60.0, False, Again(1.0375)),
        (busy(1.0), 1, 1.0, False, "no_time"),
        (busy(60.0), 1, 600.0, False, "no_time"),
        (busy(60.0), 1, 600.0, True, Again(0.0)),
        (UpstreamTimeout("slow"), 1, 60.0, True, "unsafe"),
        (UpstreamDown("too large", lasting=True), 1, 60.0, True, "unsafe"),
        (UpstreamRejected("no"), 1, 60.0, True, "unsafe"),
        (UpstreamRefusedUs("no"), 1, 60.0, False, "unsafe"),
        (UpstreamRefusedUs("no"), 1, 60.0, True, Again(0.0)),
        (UpstreamRefusedUs("no"), 3, 60.0, True, "most"),
        (NotFoundThere("no file"), 1, 60.0, False, "unsafe"),
        (NotFoundThere("no file"), 1, 60.0, True, Again(0.0)),
    ],
)
def test_what_follows_a_failure(error, tries, left, elsewhere, then):
    found = again(error, tries, 2, left, 0.5, elsewhere=elsewhere)
    if isinstance(then, Again):
        assert found.wait == pytest.approx(then.wait)
    else:
        assert found == then


@given(st.floats(0, 1), st.integers(1, 30))
def test_a_pause_is_jittered_and_bounded(chance, tries):
    then = again(DOWN, tries, 30, 60.0, chance, elsewhere=False)
    assert 0.025 <= then.wait <= 1.0


@given(
    st.floats(0, 1),
    st.floats(0, 5),
    st.lists(st.tuples(st.floats(0, 2), st.integers(0, 20)), max_size=40),
)
def test_the_budget_is_kept(share, least, rounds):
    """Everything fails, all the time: the retries stay within what was promised."""
    budget, now, calls, retries = RetryBudget(share, least, 0.0), 0.0, 0, 0
    for seconds, count in rounds:
        now += seconds
        for _ in range(count):
            calls += 1
            budget.call()
            retries += budget.spend(now)
        assert retries <= share * calls + least * (now + SAVED) + 1 + 1e-6


def test_without_a_budget_there_are_none():
    budget = RetryBudget(0.0, 0.0, 0.0)
    budget.call()
    assert not budget.spend(1_000.0)


def test_a_share_of_traffic_is_had():
    budget, spent = RetryBudget(0.2, 0.0, 0.0), 0
    for _ in range(1_000):
        budget.call()
        spent += budget.spend(0.0)
    assert 199 <= spent <= 201


def test_a_quiet_gateway_has_its_minimum():
    budget = RetryBudget(0.0, 1.0, 0.0)
    assert sum(budget.spend(0.0) for _ in range(50)) == 11
    assert sum(budget.spend(3.0) for _ in range(50)) == 3
