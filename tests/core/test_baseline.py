"""What the baseline tier alone would have cost, and how that is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sample_entries import LARGE, ROUTE, SMALL, USAGE, attempt, call

from gateway.core.baseline import Baseline, reckon
from gateway.core.errors import UpstreamDown
from gateway.core.money import Price, Usage
from gateway.core.outcome import Outcome
from gateway.core.recipes import Recipe

COOKED = replace(SMALL, recipe=Recipe("r", 1, before="x" * 40))
SEASONED = replace(LARGE, recipe=Recipe("s", 1, before="x" * 80, handover="x" * 400))
SAME, BARE = ROUTE, replace(ROUTE, baseline_policy="bare_prompt")


def served(tier, usage=USAGE, *earlier, **more):
    one = attempt(tier, calls=(call(tier, usage=usage),), **more)
    return Outcome((*earlier, one), one)


def reckoned(route, outcome):
    """The tokens that the baseline is reckoned by, after a look at its sum."""
    found = reckon(route, outcome, 9)
    assert found.cost == route.baseline_tier.price.cost(found.usage).total
    assert found.basis == "estimated"
    assert found.usage.estimated
    return replace(found.usage, estimated=False)


def test_nothing_served_costs_nothing_at_the_baseline():
    nothing = Baseline("large", price=LARGE.price.digest)
    assert reckon(ROUTE, Outcome(()), 9) == nothing
    uncalled = attempt(SMALL, calls=())
    assert reckon(ROUTE, Outcome((uncalled,), uncalled), 9) == nothing


def test_the_baseline_tier_s_own_reply_is_its_own_price_and_measured():
    cost = LARGE.price.cost(USAGE).total
    digest = LARGE.price.digest
    expected = Baseline("large", cost, "same_prompt", "measured", USAGE, digest)
    assert reckon(SAME, served(LARGE), 9) == expected
    assert reckon(BARE, served(LARGE), 9) == replace(expected, policy="bare_prompt")


def test_what_was_only_estimated_measures_nothing():
    found = reckon(SAME, served(LARGE, replace(USAGE, estimated=True)), 9)
    assert found.basis == "estimated"


def test_a_tier_of_service_that_served_is_measured_as_it_was():
    cheap = replace(LARGE, price=replace(LARGE.price, services=(("flex", Price(1, 1)),)))
    route = replace(ROUTE, tiers=(SMALL, cheap))
    flex = replace(USAGE, service="flex")
    assert reckon(route, served(cheap, flex), 9).cost == cheap.price.cost(flex).total
    assert reckoned(route, served(SMALL, flex)).service == ""


def test_another_tier_s_reply_is_priced_anew_with_as_much_in_the_cache():
    assert reckoned(SAME, served(SMALL)) == Usage(101, 31, cached=17)
    heard = Usage(101, 31, cached=17, audio_input=50, image_input=30, reasoning=9)
    expected = replace(heard, reasoning=0)
    assert reckoned(SAME, served(SMALL, heard)) == expected


def test_what_a_recipe_added_is_taken_off():
    assert reckoned(SAME, served(COOKED)) == Usage(91, 31, cached=17)
    assert reckoned(SAME, served(COOKED, bare=True)) == Usage(101, 31, cached=17)


def test_no_more_is_in_the_cache_than_is_asked():
    full = Usage(41, 31, cached=35, audio_input=4, image_input=2)
    assert reckoned(SAME, served(COOKED, full)) == replace(
        full, prompt=31, cached=31, audio_input=0, image_input=0
    )


def test_the_estimate_stands_in_where_nothing_is_left():
    assert reckoned(SAME, served(COOKED, Usage(10, 31))) == Usage(9, 31)


def test_the_policy_says_whether_the_baseline_has_its_recipe():
    same, bare = (replace(route, tiers=(SMALL, SEASONED)) for route in (SAME, BARE))
    assert reckoned(same, served(SMALL)) == Usage(121, 31, cached=17)
    assert reckoned(bare, served(SMALL)) == Usage(101, 31, cached=17)
    assert reckon(same, served(SEASONED), 9).basis == "measured"
    assert reckoned(bare, served(SEASONED)) == Usage(81, 31, cached=17)


def test_a_hand_over_note_is_the_waterfall_s_own():
    route = replace(ROUTE, tiers=(SMALL, SEASONED))
    outcome = served(SEASONED, Usage(220, 31), attempt(SMALL))
    assert outcome.escalated
    assert reckoned(route, outcome) == Usage(120, 31)


def test_what_a_repair_was_told_is_the_waterfall_s_own():
    first = attempt(SMALL, calls=(call(SMALL, usage=Usage(60, 31)),))
    assert reckoned(ROUTE, served(SMALL, Usage(101, 31), first)) == Usage(60, 31)
    failed = attempt(
        SMALL, None, calls=(call(SMALL, "failed", Usage(60)),), failure=UpstreamDown("x")
    )
    assert reckoned(ROUTE, served(SMALL, Usage(101, 31), failed)) == Usage(101, 31)
    broken = attempt(LARGE, calls=(call(LARGE, usage=Usage(60, 31)),))
    assert reckoned(ROUTE, served(LARGE, Usage(101, 31), broken)) == Usage(60, 31)


def test_a_reply_that_broke_off_was_told_what_it_was():
    outcome = served(SMALL, Usage(101, 31), failure=UpstreamDown("x"))
    assert reckoned(ROUTE, outcome) == Usage(101, 31)


@pytest.mark.parametrize(("ratio", "tokens"), [(2.0, 62), (0.5, 16)])
def test_its_replies_may_be_known_to_be_of_another_length(ratio, tokens):
    route = replace(ROUTE, baseline_reply={"small": ratio})
    assert reckoned(route, served(SMALL)).completion == tokens
    assert reckon(route, served(LARGE), 9).usage == USAGE
