"""Where a conversation's next request starts, by what is remembered of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core.tries import LARGE, MEDIUM, SMALL

from gateway.core.difficulty import Difficulty
from gateway.core.money import Price
from gateway.core.routing import Overrides, Route, expected_cost, make_plan
from gateway.core.session import NOTHING, Past, cached_at
from gateway.core.signals import Signals

WARM = replace(LARGE, price=Price(10_000_000_000, 0, cached_input=100_000_000))
COOL = replace(MEDIUM, price=Price(500_000_000, 0))
ROUTE = Route("waterfall", (SMALL, COOL, WARM), thresholds=(0.7, 0.95))
LONG = Signals(prompt_tokens=900)
HOT = Past(warm="large", history=900)


@pytest.mark.parametrize(
    ("value", "past", "start", "reason"),
    [
        (0.0, NOTHING, "small", "score"),
        (0.0, Past(1), "medium", "latch"),
        (0.99, Past(1), "large", "score"),
        (0.0, Past(9), "large", "latch"),
        (0.0, Past(2, probe=True), "small", "probe"),
        (0.8, Past(2, probe=True), "medium", "probe"),
        (0.99, Past(2, probe=True), "large", "score"),
        (0.0, Past(0, probe=True), "small", "score"),
        (0.0, HOT, "large", "cache"),
        (0.8, HOT, "large", "cache"),
        (0.99, HOT, "large", "score"),
        (0.0, replace(HOT, history=100), "small", "score"),
        (0.8, replace(HOT, latched=2), "large", "latch"),
        (0.0, replace(HOT, latched=2, probe=True), "large", "cache"),
        (0.0, replace(HOT, warm="small"), "small", "score"),
        (0.0, replace(HOT, warm="gone"), "small", "score"),
    ],
)
def test_where_it_starts(value, past, start, reason):
    plan = make_plan(ROUTE, LONG, Difficulty(value), Overrides(), past)
    assert (plan.tiers[0].name, plan.reason) == (start, reason)


def test_hard_rules_stand_over_the_past():
    blind = replace(ROUTE, tiers=(SMALL, COOL, replace(WARM, takes_images=False)))
    plan = make_plan(blind, replace(LONG, images=1), Difficulty(0.0), Overrides(), HOT)
    assert (plan.tiers[0].name, plan.reason) == ("medium", "rule")


def test_only_the_warm_tier_gets_the_cache_s_price():
    assert cached_at(WARM, 900, HOT) == 900
    assert cached_at(WARM, 500, HOT) == 500
    assert cached_at(SMALL, 900, HOT) == cached_at(WARM, 900, NOTHING) == 0
    warm, cold = (expected_cost(WARM, LONG, past) for past in (HOT, NOTHING))
    assert (warm, cold) == (900 * 100, 900 * 10_000)
    assert expected_cost(COOL, LONG, HOT) == expected_cost(COOL, LONG)
