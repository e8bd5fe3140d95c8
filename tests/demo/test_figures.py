from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.verdict import Bar
from gateway.demo.figures import Case, by_accept, by_threshold, replay, wilson

SURE = Case(0.2, None, 0.9, 7, 100, small_right=True, large_right=True)
LOST = Case(0.6, None, 0.3, 7, 100, small_right=False, large_right=True)
HARD = Case(0.9, None, 0.4, 7, 100, small_right=False, large_right=True)
HOPELESS = Case(0.7, 0.2, 0.3, 7, 100, small_right=False, large_right=False)

share = st.floats(0, 1)
case = st.builds(
    Case,
    difficulty=share,
    next_good=st.none() | share,
    confidence=share,
    small_cost=st.integers(0, 50),
    large_cost=st.integers(51, 500),
    small_right=st.booleans(),
    large_right=st.booleans(),
)


@pytest.mark.parametrize(
    ("found", "threshold", "accept", "cost", "accuracy", "up"),
    [
        ([SURE], 1.0, 0.5, 7, 1.0, 0.0),
        ([LOST], 1.0, 0.5, 107, 1.0, 1.0),  # the draft is paid for too
        ([LOST], 1.0, 0.2, 7, 0.0, 0.0),
        ([HARD], 0.8, 0.5, 100, 1.0, 1.0),  # no draft was made
        ([HOPELESS], 1.0, 0.5, 7, 0.0, 0.0),  # the large tier is not expected to do better
        ([SURE, LOST, HARD], 0.8, 0.5, 7 + 107 + 100, 1.0, 2 / 3),
    ],
)
def test_replay(found, threshold, accept, cost, accuracy, up):
    point = replay(found, threshold, Bar(accept))
    assert (point.cost, point.accuracy, point.up) == (cost, accuracy, up)


@given(st.lists(case, min_size=1, max_size=20))
def test_a_lower_threshold_never_sends_less_up_in_the_curve(found):
    ups = [point.up for point in by_threshold(found, Bar(0.5), steps=10)]
    assert ups == sorted(ups)
    assert ups[-1] == 1.0


@given(st.lists(case, min_size=1, max_size=20))
def test_a_higher_bar_never_sends_less_up(found):
    ups = [point.up for point in by_accept(found, Bar(0.5), steps=10)]
    assert ups == sorted(ups)


def test_wilson_agrees_with_the_published_example():
    low, high = wilson(15, 148)  # Newcombe 1998, table I, method 3
    assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)
