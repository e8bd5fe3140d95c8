from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.difficulty import Difficulty, are_thresholds, start_index


@pytest.mark.parametrize(
    ("value", "thresholds", "index"),
    [
        (0.79, (0.8,), 0),
        (0.8, (0.8,), 1),
        (0.0, (0.0,), 1),
        (1.0, (1.0,), 0),
        (1.0, (0.99, 1.0), 1),
        (0.94, (0.7, 0.95), 1),
        (0.95, (0.7, 0.95), 2),
        (0.5, (), 0),
    ],
)
def test_one_tier_up_for_each_threshold_reached(value, thresholds, index):
    assert start_index(value, thresholds) == index


UNIT = st.floats(0, 1)


@settings(max_examples=25)
@given(st.lists(UNIT, max_size=3), st.lists(st.floats(0, 0.5), min_size=3, max_size=3), UNIT)
def test_raising_a_threshold_never_sends_more_up(thresholds, rises, value):
    low = sorted(thresholds)
    high = [min(1.0, each + rise) for each, rise in zip(low, rises, strict=False)]
    assert start_index(value, high) <= start_index(value, low)


def test_heads_are_shared_by_the_tiers_past_the_last():
    known = Difficulty(0.4, 0.1, (0.25, 0.75))
    assert [known.good_at(index) for index in range(3)] == [0.25, 0.75, 0.75]
    assert Difficulty(0.4).good_at(0) is None


@pytest.mark.parametrize(
    ("values", "sound"),
    [
        ((), False),
        ((0.0,), True),
        ((0.7, 0.7, 1.0), True),
        ((0.8, 0.7), False),
        ((-0.1,), False),
        ((1.1,), False),
        ((float("nan"),), False),
    ],
)
def test_what_thresholds_are(values, sound):
    assert are_thresholds(values) is sound
