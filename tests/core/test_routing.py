from __future__ import annotations

from dataclasses import replace

import pytest
from core.tries import LARGE, MEDIUM, SMALL, TIERS

from gateway.core.accepts import Accepts
from gateway.core.difficulty import Difficulty
from gateway.core.errors import BadRequest, CeilingTooLow
from gateway.core.plan import Tier
from gateway.core.recipes import Recipe
from gateway.core.routing import (
    ASSUMED_REPLY_TOKENS,
    Overrides,
    Route,
    expected_cost,
    make_plan,
    recipe_tokens,
)
from gateway.core.session import Past
from gateway.core.signals import Signals

ROUTE = Route("waterfall", TIERS, thresholds=(0.7, 0.95), deadline=30.0)
BLIND = replace(SMALL, takes_images=False)
TOOLLESS = replace(MEDIUM, takes_tools=False)
PICKY = replace(ROUTE, tiers=(BLIND, TOOLLESS, LARGE))


ANY = Signals()


def planned(value=0.0, signals=ANY, route=ROUTE, latched=0, p_good=(), **asked):
    difficulty = Difficulty(value, p_good=p_good)
    return make_plan(route, signals, difficulty, Overrides(**asked), Past(latched))


def names(plan):
    return " ".join(t.name for t in plan.tiers), " ".join(t.name for t in plan.below), plan.reason


STARTS = {
    "easy": ({}, ("small medium large", "", "score")),
    "harder": ({"value": 0.7}, ("medium large", "small", "score")),
    "hardest": ({"value": 0.95}, ("large", "medium small", "score")),
    "the request's own thresholds": (
        {"value": 0.5, "thresholds": (0.5,)},
        ("medium large", "small", "score"),
    ),
    "no falling down": (
        {"value": 0.7, "route": replace(ROUTE, fall_down=False)},
        ("medium large", "", "score"),
    ),
    "latched": ({"latched": 1}, ("medium large", "small", "latch")),
    "latched past the end": ({"latched": 9}, ("large", "medium small", "latch")),
    "scored higher than latched": (
        {"value": 0.95, "latched": 1},
        ("large", "medium small", "score"),
    ),
    "pinned": ({"value": 0.95, "tier": "small"}, ("small", "", "override")),
    "observed": ({"mode": "observe"}, ("large", "", "mode")),
    "off": ({"mode": "off"}, ("large", "", "mode")),
    "a pin beats a mode": ({"mode": "off", "tier": "small"}, ("small", "", "override")),
    "a route that observes": (
        {"route": replace(ROUTE, mode="observe", baseline="medium")},
        ("medium", "", "mode"),
    ),
    "enforced all the same": (
        {"route": replace(ROUTE, mode="observe"), "mode": "enforce"},
        ("small medium large", "", "score"),
    ),
    "too long for the first": (
        {"signals": Signals(prompt_tokens=990, max_tokens=11)},
        ("medium large", "", "context"),
    ),
    "just short enough": (
        {"signals": Signals(prompt_tokens=990, max_tokens=10)},
        ("small medium large", "", "score"),
    ),
    "too long for all: the widest": (
        {"signals": Signals(prompt_tokens=99_999)},
        ("large", "", "context"),
    ),
    "images": ({"route": PICKY, "signals": Signals(images=1)}, ("medium large", "", "rule")),
    "tools skip a tier": (
        {"route": PICKY, "signals": Signals(tools=1)},
        ("small large", "", "score"),
    ),
    "tools, and harder": (
        {"route": PICKY, "signals": Signals(tools=1), "value": 0.7},
        ("large", "small", "rule"),
    ),
    "nothing higher fits: the highest that does": (
        {
            "route": replace(ROUTE, tiers=(SMALL, MEDIUM, replace(LARGE, takes_tools=False))),
            "signals": Signals(tools=1),
            "value": 1.0,
        },
        ("medium", "small", "rule"),
    ),
}


@pytest.mark.parametrize(("given", "expected"), STARTS.values(), ids=STARTS)
def test_where_a_request_starts(given, expected):
    assert names(planned(**given)) == expected


def test_an_unknown_window_takes_anything():
    endless = replace(SMALL, context=None)
    route = replace(ROUTE, tiers=(endless, LARGE), thresholds=(0.7,))
    assert names(planned(signals=Signals(prompt_tokens=99_999), route=route))[0] == "small"


def test_a_file_s_size_decides_what_it_may_cost_and_not_whether_it_fits():
    much = SMALL.context + 100
    filed = Signals(prompt_tokens=much, file_tokens=200)
    assert names(planned(signals=filed))[0].split()[0] == "small"
    unfiled = replace(filed, file_tokens=0)
    assert names(planned(signals=unfiled))[0].split()[0] != "small"
    assert expected_cost(SMALL, filed) == expected_cost(SMALL, Signals(prompt_tokens=much))


@pytest.mark.parametrize(
    ("signals", "wants"),
    [(Signals(tools=1), "tools"), (Signals(images=1), "images")],
)
def test_what_no_tier_takes_is_refused(signals, wants):
    tier = replace(SMALL, takes_tools=False, takes_images=False)
    with pytest.raises(BadRequest, match=f"takes {wants}"):
        planned(signals=signals, route=replace(ROUTE, tiers=(tier,)))


@pytest.mark.parametrize(
    ("demand", "param"),
    [
        ("json_object", "response_format"),
        ("web_search", "web_search_options"),
        ("stop", "stop"),
        ("files", "messages"),
    ],
)
def test_what_no_tier_takes_is_refused_by_its_field(demand, param):
    tier = replace(SMALL, accepts=Accepts(refuse=frozenset({demand})))
    with pytest.raises(BadRequest) as refused:
        planned(signals=Signals(demands=(demand,)), route=replace(ROUTE, tiers=(tier,)))
    assert refused.value.param == param


def test_a_pin_to_no_tier_is_refused_with_the_names_there_are():
    with pytest.raises(BadRequest, match="small, medium, large") as refused:
        planned(tier="huge")
    assert refused.value.param == "x-waterfall-tier"


# ------------------------------------------------------------------ bounds

COSTS = {tier.name: expected_cost(tier, Signals(prompt_tokens=1_000)) for tier in TIERS}
ASKED = Signals(prompt_tokens=1_000, max_tokens=None)
CHEAP = replace(ROUTE, tiers=tuple(replace(tier, context=None) for tier in TIERS))


def test_a_call_s_expected_cost():
    assert expected_cost(SMALL, ASKED) == 100_000 + 300 * ASSUMED_REPLY_TOKENS
    assert expected_cost(SMALL, replace(ASKED, max_tokens=10)) == 103_000
    assert expected_cost(SMALL, replace(ASKED, max_tokens=10, choices=4)) == 112_000
    assert expected_cost(SMALL, replace(ASKED, max_tokens=10, choices=2, made=4)) == 112_000
    cooked = replace(SMALL, recipe=Recipe("r", 1, after="x" * 40))
    assert expected_cost(cooked, replace(ASKED, max_tokens=10)) == 104_000


def test_a_recipe_s_tokens():
    recipe = Recipe("r", 1, before="x" * 8, output="x" * 4, examples=(("x" * 12, "x" * 16),))
    assert (recipe_tokens(recipe), recipe_tokens(None)) == (10, 0)


@pytest.mark.parametrize(
    ("routes", "asks", "ceiling"),
    [(None, None, None), (5, None, 5), (None, 7, 7), (5, 7, 5), (7, 5, 5)],
)
def test_a_request_only_lowers_the_ceiling(routes, asks, ceiling):
    free = Tier("free", "near", "gratis")
    route = replace(ROUTE, tiers=(free,), ceiling=routes)
    assert planned(route=route, ceiling=asks).ceiling == ceiling


@pytest.mark.parametrize(("asks", "deadline"), [(None, 30.0), (5.0, 5.0), (99.0, 30.0)])
def test_a_request_only_lowers_the_deadline(asks, deadline):
    assert planned(deadline=asks).deadline == deadline


BUDGETS = {
    "enough": ("large", 0, ("large", "medium small", "score")),
    "one down": ("large", -1, ("medium large", "small", "budget")),
    "all the way down": ("medium", -1, ("small medium large", "", "budget")),
}


@pytest.mark.parametrize(("tier", "less", "expected"), BUDGETS.values(), ids=BUDGETS)
def test_a_start_over_the_ceiling_moves_down(tier, less, expected):
    ceiling = COSTS[tier] + less
    assert names(planned(0.95, ASKED, CHEAP, ceiling=ceiling)) == expected


def test_nothing_under_the_ceiling_is_refused_with_the_price_of_the_cheapest():
    with pytest.raises(CeilingTooLow, match=r"needs about \$0.000176") as refused:
        planned(0.95, ASKED, CHEAP, ceiling=COSTS["small"] - 1)
    assert (refused.value.status, refused.value.param) == (400, "x-waterfall-max-cost-usd")


def test_a_pin_over_the_ceiling_is_refused_too():
    with pytest.raises(CeilingTooLow):
        planned(signals=ASKED, route=CHEAP, tier="large", ceiling=COSTS["medium"])


LEFT_ALONE = {
    "the first": (0.0, ("small",), ("medium large", "small", "breaker")),
    "two": (0.0, ("small", "medium"), ("large", "medium small", "breaker")),
    "another": (0.0, ("medium",), ("small medium large", "", "score")),
    "all": (0.0, ("small", "medium", "large"), ("small medium large", "", "score")),
    "the last": (0.95, ("large",), ("large", "medium small", "score")),
}


@pytest.mark.parametrize(("value", "down", "expected"), LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_a_start_moves_up_from_a_tier_that_is_left_alone(value, down, expected):
    difficulty = Difficulty(value)
    assert names(make_plan(ROUTE, Signals(), difficulty, down=down)) == expected


def test_a_tier_that_was_asked_for_by_name_is_it_left_alone_or_not():
    wanted = Overrides(tier="small")
    plan = make_plan(ROUTE, Signals(), Difficulty(0.0), wanted, down=("small",))
    assert names(plan) == ("small", "", "override")


def test_the_plan_knows_costs_and_chances():
    plan = planned(0.0, ASKED, CHEAP, p_good=(0.25, 0.75))
    assert plan.expected == COSTS
    assert plan.p_good == {"small": 0.25, "medium": 0.75, "large": 0.75}
    assert planned().p_good == {}


@pytest.mark.parametrize(("baseline", "name"), [("", "large"), ("medium", "medium")])
def test_the_baseline_is_the_last_tier_unless_named(baseline, name):
    assert replace(ROUTE, baseline=baseline).baseline_tier.name == name
