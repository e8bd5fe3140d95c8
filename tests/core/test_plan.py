from __future__ import annotations

from dataclasses import replace

from core.tries import LARGE, MEDIUM, SMALL

from gateway.core.plan import Plan, Tier

PLAN = Plan((MEDIUM, LARGE), (SMALL,), p_good={"large": 0.875})


def test_a_tier_may_have_several_upstreams():
    assert Tier("small", "near|far", "m").upstreams == ("near", "far")
    assert Tier("small", "near", "m").upstreams == ("near",)


def test_what_is_above():
    assert PLAN.above(MEDIUM) is LARGE
    assert PLAN.above(LARGE) is None
    assert PLAN.above(SMALL) is None


def test_the_last_tier_and_those_below_are_not_judged():
    assert [PLAN.judges(tier) for tier in (SMALL, MEDIUM, LARGE)] == [False, True, False]


def test_how_good_the_next_is():
    assert PLAN.next_good(MEDIUM) == 0.875
    assert PLAN.next_good(LARGE) is None
    assert Plan((MEDIUM, LARGE)).next_good(MEDIUM) is None


def test_a_tier_may_have_its_model_in_several_places():
    assert SMALL.upstreams == ("near",)
    assert replace(SMALL, upstream="near|far").upstreams == ("near", "far")


def test_who_is_displaced():
    """What was not served where it began, and what could not begin where it would have."""
    moved = replace(PLAN, reason="breaker")
    tiers = (MEDIUM, LARGE, SMALL)
    assert [PLAN.is_displaced(tier) for tier in tiers] == [False, True, False]
    assert [moved.is_displaced(tier) for tier in tiers] == [True, True, True]
