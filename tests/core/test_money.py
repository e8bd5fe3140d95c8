from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.money import TOKEN_CAP, Cost, Price, Usage, dollars, nano

TOKENS = st.integers(0, TOKEN_CAP)


@pytest.mark.parametrize(
    ("given_", "amount"),
    [
        ("1", 1_000_000_000),
        (0.1, 100_000_000),
        (3, 3_000_000_000),
        (Decimal("0.0000000005"), 0),
        (Decimal("0.0000000015"), 2),
        ("1e-9", 1),
    ],
)
def test_dollars_in(given_, amount):
    assert nano(given_) == amount


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.0"),
        (1, "0.000000001"),
        (1_500_000_000, "1.5"),
        (-2_000_000_000, "-2.0"),
        (12_000_000_003, "12.000000003"),
    ],
)
def test_dollars_out(amount, text):
    assert dollars(amount) == text


@settings(max_examples=25)
@given(st.integers(-(10**18), 10**18))
def test_dollars_are_exact_both_ways(amount):
    assert nano(dollars(amount)) == amount


@pytest.mark.parametrize(
    "counts",
    [(None, 1), (1, None), (-1, 1), (1, -1), (True, 1), (1.0, 1), ("1", 1), (TOKEN_CAP + 1, 1)],
)
def test_what_cannot_be_counts_is_none(counts):
    assert Usage.clamped(*counts) is None


def test_a_part_is_never_more_than_its_whole():
    assert Usage.clamped(100, 10, 80, 50, 30) == Usage(100, 10, 80, 20, 10)
    assert Usage.clamped(100, 10, None, "x", -3) == Usage(100, 10)


def test_no_parts_are_none():
    assert Usage.clamped(10, 5, service="flex") == Usage(10, 5, service="flex")
    assert Usage.clamped(10, 5, 0, None, 0) == Usage(10, 5)


def test_usage_adds_up():
    both = Usage(1, 2, 3, 4, 5) + Usage(10, 20, 30, 40, 50, estimated=True)
    assert both == Usage(11, 22, 33, 44, 55, estimated=True)
    assert not (Usage() + Usage()).estimated


def test_a_call_s_cost_by_kind():
    price = Price(2_000_000, 7_000_000, cached_input=500_000, cache_write=3_000_000, request=11)
    cost = price.cost(Usage(prompt=100, completion=10, cached=40, cache_write=20))
    assert cost == Cost(input=80, cached_input=20, cache_write=60, output=70, request=11)
    assert cost.total == 241
    assert (cost + cost).total == 482


def test_without_a_price_of_its_own_a_cached_token_costs_as_much_as_any():
    assert Price(2_000_000).cost(Usage(100, 0, 40, 20)).total == 200


@settings(max_examples=25)
@given(TOKENS, TOKENS, st.integers(0, 10**12))
def test_a_cost_is_rounded_half_up_to_a_nano_dollar(prompt, completion, per_million):
    cost = Price(per_million, per_million).cost(Usage(prompt, completion))
    assert abs(cost.input * 1_000_000 - prompt * per_million) <= 500_000
    assert cost.output == (completion * per_million * 2 + 1_000_000) // 2_000_000
