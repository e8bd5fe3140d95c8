"""The formulae of savings and pay-back: a worked example by hand, and what always holds."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.core.economics import (
    PayBack,
    Plan,
    Tokens,
    Worth,
    break_even_escalation,
    cached_share_limit,
    cascade_cost,
    least_instructions,
    least_volume,
    monthly_rate,
    pay_back,
    present_values,
    request_cost,
    worth,
)
from gateway.core.money import NANO, Price, Usage, nano

MINI = Price(nano("0.15"), nano("0.6"), cached_input=nano("0.075"))
BIG = Price(nano("2.5"), nano("10"), cached_input=nano("1.25"))
TUNED = Price(nano("0.3"), nano("1.2"), cached_input=nano("0.15"))
PROMPTED = Tokens(1_500, 300, 200)
SHORT = Tokens(150, 300, 200)
BARE = Tokens(0, 300, 200)
HITS = 1_408 / 1_500  # whole blocks of 128 tokens
K = Plan(once=4_030 * NANO)

money = st.floats(1, 1e12)
shares = st.floats(0, 1)
prices = st.builds(
    Price,
    input=st.integers(1, 10**11),
    output=st.integers(1, 10**11),
    cached_input=st.none() | st.integers(0, 10**11),
    cache_write=st.none() | st.integers(0, 10**11),
    request=st.integers(0, 10**8),
)
counts = st.integers(0, 10**5)
requests = st.builds(Tokens, counts, counts, counts)


def per_thousand(cost):
    """In dollars."""
    return cost * 1_000 / NANO


def test_the_worked_example():
    """List prices and a tuned model, 1,500 + 300 in, 200 out: each figure worked out by hand."""
    small, large = request_cost(MINI, PROMPTED), request_cost(BIG, PROMPTED)
    assert per_thousand(small) == pytest.approx(1_800 * 0.00015 + 200 * 0.0006) == 0.390
    assert per_thousand(request_cost(MINI, PROMPTED, HITS)) == pytest.approx(0.2844)
    assert per_thousand(request_cost(TUNED, SHORT)) == pytest.approx(0.375)
    assert per_thousand(large) == pytest.approx(6.50)
    assert per_thousand(request_cost(BIG, BARE)) == pytest.approx(2.75)
    # Of ten requests one starts large; of the other nine one is found out by its draft.
    waterfall = cascade_cost(small, 0, large, tried=0.9, escalation=1 / 9)
    assert per_thousand(waterfall) == pytest.approx(0.1 * 6.5 + 0.9 * 0.39 + 0.1 * 6.5)
    assert 1 - waterfall / large == pytest.approx(0.746)
    assert 1 - waterfall / request_cost(BIG, BARE) == pytest.approx(0.3996, abs=1e-4)


def test_the_worked_example_s_pay_back():
    tuned = request_cost(TUNED, SHORT)
    against = {
        "large": request_cost(BIG, PROMPTED),
        "prompted": request_cost(MINI, PROMPTED),
        "cached": request_cost(MINI, PROMPTED, HITS),
    }
    found = {name: pay_back(cost - tuned, 1_000_000, K) for name, cost in against.items()}
    assert found["large"].requests == pytest.approx(4_030 / 6.125 * 1_000)  # 0.66 million
    assert found["prompted"].requests == pytest.approx(4_030 / 0.015 * 1_000)  # 269 million
    assert found["cached"] == PayBack(why="dearer")


def test_a_cache_that_has_to_be_written_costs_that():
    written = Price(nano(1), nano(5), cached_input=nano("0.1"), cache_write=nano("1.25"))
    alone = Tokens(1_000_000, 0, 0)
    assert request_cost(written, alone) == NANO
    assert request_cost(written, alone, 0.0) == 1.25 * NANO
    assert request_cost(written, alone, 1.0) == 0.1 * NANO
    assert request_cost(Price(nano(1), request=7), alone, 0.5) == NANO + 7


@given(prices, st.integers(0, 10**5), st.integers(0, 10**5), st.integers(0, 10**5))
def test_it_is_what_the_call_would_be_billed(price, hits, missed, output):
    """Of whole tokens it is the price book's own sum, each kind unrounded."""
    whole = hits + missed
    assume(whole)
    tokens = Tokens(whole, 0, output)
    written = missed if price.cache_write is not None else 0
    usage = Usage(whole, output, cached=hits, cache_write=written)
    billed = price.cost(usage).total
    assert request_cost(price, tokens, hits / whole) == pytest.approx(billed, abs=2, rel=1e-9)


@given(money, st.floats(0, 1e12), money, shares, st.floats(0.01, 1))
def test_it_saves_just_when_it_escalates_less_than_the_break_even(small, checks, large, e, tried):
    limit = break_even_escalation(small, checks, large)
    saving = large - cascade_cost(small, checks, large, escalation=e, tried=tried)
    assert saving == pytest.approx(tried * large * (limit - e), rel=1e-6, abs=large * 1e-9)


def test_nothing_is_saved_where_the_large_tier_is_free():
    assert break_even_escalation(1, 0, 0) is None
    assert cascade_cost(1, 2, 10, escalation=0.5, routing=3) == 3 + 1 + 2 + 5


@pytest.mark.parametrize(
    ("saving", "extra_bad", "found"),
    [
        (5.0, 0.01, Worth("below", 500.0)),
        (5.0, 0.0, Worth("always")),
        (5.0, -0.01, Worth("always")),
        (0.0, 0.0, Worth("always")),
        (0.0, 0.01, Worth("never")),
        (-5.0, 0.01, Worth("never")),
        (-5.0, 0.0, Worth("never")),
        (-5.0, -0.01, Worth("above", 500.0)),
    ],
)
def test_what_a_bad_answer_may_cost(saving, extra_bad, found):
    assert worth(saving, extra_bad) == found


@given(st.floats(-1e9, 1e9), st.floats(-1, 1), st.floats(0, 1e12))
def test_a_waterfall_is_worth_it_where_it_says_so(saving, extra_bad, harm):
    assume(abs(extra_bad) > 1e-6)
    found = worth(saving, extra_bad)
    comes_to = saving - harm * extra_bad
    assume(abs(comes_to) > 1e-3 * (abs(saving) + harm * abs(extra_bad)))
    pays = {
        "always": True,
        "never": False,
        "below": found.limit is not None and harm < found.limit,
        "above": found.limit is not None and harm > found.limit,
    }
    assert (comes_to > 0) == pays[found.when] or saving == 0


def test_why_it_is_never_paid_back():
    plan = Plan(once=1_000, monthly=100, discount=0.5)
    assert pay_back(0, 1_000, plan) == PayBack(why="dearer")
    assert pay_back(1, 100, plan) == PayBack(why="upkeep")
    assert pay_back(1, 101, plan) == PayBack(why="discount")
    assert pay_back(1, 1_000, plan).why == ""
    assert pay_back(1, 1_000, Plan(once=0)) == PayBack(0.0, 0.0)


@given(money, st.floats(1, 1e9), st.floats(0, 0.95), st.floats(0.001, 200), st.floats(0, 0.5))
def test_at_the_pay_back_the_curve_is_at_zero(saving, volume, upkeep, months, discount):
    monthly = saving * volume * (1 - upkeep)
    plan = Plan(months * monthly, saving * volume * upkeep, discount)
    found = pay_back(saving, volume, plan)
    if found.months is None:
        assert found.why in {"upkeep", "discount"}
        return
    assert found.requests == pytest.approx(found.months * volume)
    assert found.months >= months * (1 - 1e-6) - 1e-9
    whole = int(found.months)
    assume(whole < 1_000)
    before, after = islice(present_values(saving, volume, plan), whole, whole + 2)
    room = 1e-6 * (plan.once + saving * volume)
    assert before <= room
    assert after >= -room


def test_the_curve_goes_down_first_and_comes_up():
    plan = Plan(once=100, monthly=10)
    assert list(islice(present_values(1, 30, plan), 7)) == [-100, -80, -60, -40, -20, 0, 20]
    assert pay_back(1, 30, plan).months == 5
    discounted = list(islice(present_values(1, 30, Plan(100, 10, discount=1.0)), 13))
    assert discounted[12] - discounted[11] == pytest.approx(10)  # twelve months halve it
    assert monthly_rate(0.0) == 0


@given(money, st.floats(0, 1e15), st.floats(0, 1e12), st.floats(1, 60))
def test_the_least_volume_pays_back_just_in_time(saving, once, monthly, months):
    plan = Plan(once, monthly)
    volume = least_volume(saving, plan, months)
    assume(volume > 1e-6)
    found = pay_back(saving, volume * 1.001, plan)
    assume(found.why == "")
    assert found.months <= months * 1.001
    assert least_volume(0, plan, months) is None


@given(prices, requests, prices, requests, st.none() | shares)
def test_instructions_of_the_least_length_cost_what_the_tuned_model_does(
    price, tokens, tuned_price, tuned_tokens, cached
):
    tuned = request_cost(tuned_price, tuned_tokens)
    least = least_instructions(tuned, price, tokens, cached)
    free = request_cost(price, Tokens(0, tokens.user, tokens.output), cached)
    if not least:
        assert least == 0 or least is None or tuned == pytest.approx(free)
        return
    level = request_cost(price, Tokens(least, tokens.user, tokens.output), cached)
    assert level == pytest.approx(tuned, rel=1e-6)


def test_instructions_that_cost_nothing_are_never_too_long():
    free = Price(input=0, output=nano(1))
    assert least_instructions(1_000_000, free, PROMPTED) is None
    assert least_instructions(request_cost(TUNED, SHORT), MINI, PROMPTED) == pytest.approx(1_400)
    assert least_instructions(0, MINI, PROMPTED) == 0


def test_the_share_of_a_cache_that_makes_up_for_tuning():
    tuned = request_cost(TUNED, SHORT)
    share = cached_share_limit(tuned, MINI, PROMPTED)
    assert share == pytest.approx(0.015 / 0.1125)
    assert request_cost(MINI, PROMPTED, share) == pytest.approx(tuned)
    assert cached_share_limit(request_cost(BIG, BARE), MINI, PROMPTED) == 0
    assert cached_share_limit(1.0, MINI, PROMPTED) is None
