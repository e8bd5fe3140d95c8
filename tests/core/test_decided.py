"""What a request was decided on comes back out of the ledger's JSON as it went in."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from core.tries import LARGE, MEDIUM, PAID_BAR, SMALL
from hypothesis import given
from hypothesis import strategies as st
from sample_entries import entry
from sample_rows import whole_row as row

from gateway.core import decided
from gateway.core.combine import Combiner, Curve, Stage
from gateway.core.decided import Decided, decided_row, read_decided
from gateway.core.money import Price
from gateway.core.plan import Hold, Plan, Tier
from gateway.core.recipes import Recipe
from gateway.core.routing import Overrides
from gateway.core.session import Past
from gateway.core.signals import Signals
from gateway.core.verdict import Bar, CheckSpec, Early

BARE = [replace(each, price=Price(), takes_tools=True) for each in (SMALL, MEDIUM, LARGE)]
COOKED = replace(BARE[1], recipe=Recipe("r@home", 3), hold=Hold("tokens", 48), bar=PAID_BAR)
SHARES = st.floats(0, 1)
ODDS = st.floats(allow_nan=False, allow_infinity=False)
SECONDS = st.floats(0, 1e6)
CURVES = st.builds(
    lambda weights, *numbers: Curve(
        *numbers,
        said={check: weight for check, (weight, _) in weights.items()},
        silent={check: mute for check, (_, mute) in weights.items()},
    ),
    st.dictionaries(st.sampled_from(["shape", "judge"]), st.tuples(ODDS, ODDS)),
    ODDS,
    ODDS,
    ODDS,
)
COMBINERS = st.builds(
    Combiner,
    st.just("own@1"),
    st.just(("shape",)),
    st.just(("judge",)),
    st.tuples(st.builds(Stage, CURVES, CURVES), st.builds(Stage, CURVES, CURVES)),
    st.dictionaries(st.just("judge"), st.tuples(SHARES, SHARES)),
)
PLANS = st.builds(
    Plan,
    st.sampled_from([(BARE[0], COOKED), (COOKED,), (BARE[2],)]),
    st.sampled_from([(), (BARE[0],)]),
    st.sampled_from(["score", "latch", "mode", "probe", "cache"]),
    SECONDS,
    st.none() | st.integers(0, 10**12),
    st.dictionaries(st.sampled_from(["small", "medium"]), st.integers(0, 10**12)),
    st.dictionaries(st.sampled_from(["small", "medium"]), SHARES),
    choices=st.integers(1, 3),
    whole=st.booleans(),
    speculate=st.none() | SECONDS,
)
DECIDED = st.builds(
    Decided,
    PLANS,
    st.lists(SHARES, max_size=2).map(tuple),
    st.builds(
        Overrides,
        st.none() | st.just("small"),
        st.none() | st.lists(SHARES, min_size=1, max_size=2).map(tuple),
        st.sampled_from([None, "observe", "enforce", "off"]),
        st.none() | st.integers(1, 10**12),
        st.none() | SECONDS,
    ),
    st.builds(Past, st.integers(0, 3), st.booleans(), st.sampled_from(["", "small"])),
    st.builds(
        Signals,
        prompt_tokens=st.integers(0, 9),
        tools=st.integers(0, 2),
        demands=st.sampled_from([(), ("tools", "n")]),
    ),
    st.lists(SECONDS, max_size=5).map(tuple),
    st.none() | PLANS,
    st.sampled_from([(), ("small",)]),
)


@given(DECIDED)
def test_it_comes_back_as_it_went(decided):
    assert read_decided(json.loads(json.dumps(decided_row(decided)))) == decided


@given(COMBINERS)
def test_a_combiner_comes_back_with_all_of_its_digits(combiner):
    decided = Decided(Plan((replace(COOKED, bar=replace(PAID_BAR, combiner=combiner)), BARE[2])))
    assert read_decided(json.loads(json.dumps(decided_row(decided)))) == decided


def test_what_the_version_before_wrote_out_is_read():
    tier = {
        "name": "small",
        "upstream": "near",
        "model": "m",
        "recipe": "",
        "context": None,
        "hold": ["reply", 0],
        "accept": 0.7,
        "min_gain": 0.05,
        "repair": False,
        "checks": {"shape": [0, False, False]},
        "at_once": False,
        "early": [None, False, True, True],
        "combiner": None,
        "hedge": None,
        "wire": "chat",
    }
    plan = {
        "tiers": ["small"],
        "below": [],
        "reason": "override",
        "deadline": 60.0,
        "ceiling": None,
        "expected": {"small": 604},
        "p_good": {},
        "whole": False,
        "speculate": None,
        "choices": 1,
    }
    asked = {"tier": "small", "mode": "enforce"}
    asked |= dict.fromkeys(("thresholds", "ceiling", "deadline"))
    signals = {"prompt_tokens": 92, "max_tokens": None, "choices": 1, "tools": 0, "images": 0}
    flat = {
        "v": 1,
        "ladder": [tier],
        "plan": plan,
        "would": None,
        "thresholds": [],
        "asked": asked,
        "past": [0, False, "", 0],
        "signals": signals,
        "readings": [0.5],
    }
    early = Early(repetition=True, format=True)
    bar = Bar(0.7, 0.05, (CheckSpec("shape"),), early=early)
    small = Tier("small", "near", "m", bar=bar)
    assert read_decided(flat) == Decided(
        Plan((small,), (), "override", 60.0, None, {"small": 604}),
        asked=Overrides("small", None, "enforce"),
        signals=Signals(prompt_tokens=92),
        readings=(0.5,),
    )


def test_what_a_newer_version_wrote_is_not_guessed_at():
    flat = decided_row(Decided(Plan((SMALL,))))
    with pytest.raises(ValueError, match="newer version"):
        read_decided({**flat, "v": 99})


@pytest.mark.parametrize(
    ("mode", "reason", "would", "told"),
    [
        ("enforce", "score", None, ("small", "score")),
        ("off", "mode", None, ("small", "mode")),
        ("observe", "mode", Plan((LARGE,), reason="latch"), ("large", "latch")),
        ("observe", "override", None, ("small", "override")),
        ("observe", "mode", None, ("none", "refused")),
    ],
)
def test_a_row_says_what_the_policy_itself_would_have_done(mode, reason, would, told):
    decided = Decided(Plan((SMALL,), reason=reason), would=would)
    flat = row(entry(mode=mode, start_reason=reason, decided=decided))
    assert (flat["policy_start"], flat["policy_reason"]) == told
    assert flat["decided"] == decided_row(decided)


def test_a_row_of_what_was_recovered_has_no_inputs():
    flat = row(entry(mode="observe", start_reason="mode"))
    assert (flat["policy_start"], flat["decided"]) == ("small", None)


def test_a_tier_is_written_once_but_for_what_its_checks_cost_this_request():
    plan = Plan((COOKED,))
    first, again = (decided_row(Decided(plan))["ladder"][0] for _ in range(2))
    assert first is again
    paid = next(spec.name for spec in COOKED.bar.checks if spec.cost)
    dearer = replace(plan, check_costs={(COOKED.name, paid): 7})
    row_of_it = decided_row(Decided(dearer))["ladder"][0]
    assert row_of_it["checks"][paid][0] == 7
    assert first["checks"][paid][0] != 7
    assert {**row_of_it, "checks": 0} == {**first, "checks": 0}


def test_tiers_that_are_gone_are_not_remembered_for_ever():
    for number in range(600):
        tier = replace(COOKED, name=f"t{number}")
        assert decided_row(Decided(Plan((tier,))))["ladder"][0]["name"] == tier.name
    assert len(decided._written) <= 256
