"""What limits come to as allowances, and what a plan may come to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core.tries import LARGE, MEDIUM, PAID_BAR, SMALL, plan

from gateway.core.allowance import Terms
from gateway.core.limits import Budget, Limits
from gateway.core.reserve import downgraded, reserve_of

JUDGED = replace(SMALL, bar=PAID_BAR)


def test_limits_as_allowances():
    limits = Limits(rpm=60, tpm=6_000, concurrency=3)
    assert limits.terms() == {
        "concurrency": Terms("slots", 3),
        "rpm": Terms("rate", 60, 1.0),
        "tpm": Terms("rate", 6_000, 100.0),
    }
    assert Limits().terms() == {}
    assert Budget("day", 7).terms == Terms("budget", 7)


@pytest.mark.parametrize(
    ("given", "least", "most"),
    [
        (plan(), 100, 5_600),
        (plan(ceiling=700), 100, 700),
        (plan(ceiling=70), 100, 100),  # never less than what it takes to answer
        (plan((LARGE,), (MEDIUM, SMALL)), 100, 5_000),
        (plan((JUDGED, LARGE)), 100, 5_100 + 570),
        (plan((JUDGED,)), 100, 100),  # nobody holds the last tier to its bar
    ],
)
def test_what_is_put_aside(given, least, most):
    assert reserve_of(given) == (least, most)


def test_downgraded_to_the_lowest_tier_alone():
    for given in (plan(), plan((LARGE,), (MEDIUM, SMALL))):
        low = downgraded(given)
        assert (low.tiers, low.below, low.reason) == ((SMALL,), (), "budget")
