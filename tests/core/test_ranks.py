from __future__ import annotations

import random
from itertools import pairwise
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.difficulty import start_index
from gateway.core.ranks import (
    POINTS,
    psi,
    rank,
    reference_of,
    share_above,
    share_threshold,
    tenths,
    wilson,
)

NUMBERS = st.floats(-1e6, 1e6)
SHARES = st.floats(0.01, 0.99)


def test_a_reference_has_its_quantiles_at_even_ranks():
    assert reference_of(range(11), 3) == (0, 5, 10)
    assert reference_of([4.0], 3) == (4.0, 4.0, 4.0)
    assert len(reference_of([1.0, 2.0])) == POINTS


@pytest.mark.parametrize(
    ("score", "place"),
    [
        (1.0, 0.25),
        (2.0, 1.0),
        (2.5, 1.5),
        (3.0, 2.0),
        (5.0, 3.75),
        (1.5, 0.5),
        (0.5, 0.25 / (1 + log(1.125))),
    ],
)
def test_a_rank_is_a_share_of_the_reference(score, place):
    assert rank(score, (1.0, 2.0, 3.0, 4.0, 5.0)) == pytest.approx(place / 4)


def test_of_equals_half_are_counted():
    assert rank(2.0, (1.0, 2.0, 2.0, 2.0, 3.0)) == 0.5
    assert rank(0.0, (0.0, 0.0, 0.0, 0.0, 1.0)) == pytest.approx(1.5 / 4)
    assert rank(7.0, (7.0, 7.0)) == 0.5


@given(st.lists(NUMBERS, min_size=2, max_size=40), st.lists(st.integers(-100, 100), min_size=2))
def test_ranks_rise_and_never_reach_an_end(scores, asked):
    reference = reference_of(scores, 9)
    spread = max(reference[-1] - reference[0], 1.0)
    scores = sorted({reference[0] + spread * each / 20 for each in asked})
    ranks = [rank(score, reference) for score in scores]
    assert all(0 < each < 1 for each in ranks)
    assert all(low <= high for low, high in pairwise(ranks))


def test_beyond_the_ends_traffic_can_still_be_told_apart():
    reference = reference_of([0.1, 0.2])
    far = [rank(score, reference) for score in (5.0, 6.0, 7.0, 8.0)]
    assert len(set(far)) == 4
    threshold = share_threshold(far, 0.5)
    assert [start_index(each, (threshold,)) for each in far] == [0, 0, 1, 1]


@given(st.lists(st.floats(0, 0.999), min_size=1, max_size=60), SHARES)
def test_no_other_threshold_comes_nearer_to_a_share(values, share):
    chosen = share_above(values, share_threshold(values, share))
    others = [share_above(values, each) for each in {0.0, 1.0, *values}]
    assert abs(chosen - share) <= min(abs(each - share) for each in others) + 1e-9


@given(st.lists(st.floats(0, 0.999), min_size=1, max_size=60), SHARES, SHARES)
def test_a_larger_share_never_raises_the_threshold(values, one, other):
    low, high = sorted((one, other))
    assert share_threshold(values, high) <= share_threshold(values, low)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), SHARES)
def test_ties_go_to_the_nearer_side(levels, share):
    values = [each / 10 for each in levels]
    chosen = share_above(values, share_threshold(values, share))
    nearest = min(abs(share_above(values, each / 10) - share) for each in range(11))
    assert abs(chosen - share) == pytest.approx(nearest)


def test_all_and_none():
    assert share_threshold([0.3], 1.0) == 0.0
    assert share_threshold([0.3], 0.0) == 1.0


def test_wilson_s_interval():
    low, high = wilson(10, 100)
    assert (low, high) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == pytest.approx(0.0)
    assert wilson(10, 10)[1] == pytest.approx(1.0)
    assert wilson(20, 100, 0.99)[0] < wilson(20, 100)[0]


def test_tenths():
    assert tenths([0.0, 0.05, 0.1, 0.95, 1.0]) == [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]


def test_stability():
    even = [0.1] * 10
    assert psi(even, [100] * 10) == 0.0
    assert psi(even, [50] * 5 + [150] * 5) == pytest.approx(0.2739, abs=1e-2)
    assert psi([1.0, 0.0], [100, 0]) == 0.0, "what is expected to be empty may be"
    assert psi([0.5, 0.5], [100, 0]) < 10, "an empty part does not count for infinity"


def test_stability_of_the_same_traffic_is_far_from_an_alarm():
    chance = random.Random(4)
    drawn = [psi([0.1] * 10, tenths(chance.random() for _ in range(300))) for _ in range(200)]
    assert max(drawn) < 0.15
