"""How long another tier's reply would be, and by how much that is wrong."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.reply_length import estimate_error, fit_length

PAIRS = st.lists(st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)), min_size=1)


def test_a_worked_example():
    found = fit_length([(100, 150), (300, 450), (200, 300), (0, 9), (9, 0)])
    assert (found.pairs, found.ratio, found.error, found.typical) == (3, 1.5, 0.0, 0.0)
    found = fit_length([(100, 100), (100, 200)])
    assert found.ratio == 1.5
    assert found.error == pytest.approx(math.sqrt(2 * 50**2 / 1) / 100 / math.sqrt(2))
    assert found.typical == pytest.approx(100 / 300)


def test_one_pair_is_no_measure_and_none_is_nothing():
    assert fit_length([(100, 150)]).error == math.inf
    assert fit_length([]) is None
    assert fit_length([(0, 10)]) is None


def test_the_error_of_what_is_configured():
    pairs = [(100, 150), (300, 450)]
    assert estimate_error(pairs, 1.5) == 0
    assert estimate_error(pairs, 1.0) == pytest.approx(-1 / 3)
    assert estimate_error([], 1.0) is None
    assert estimate_error([(9, 0)], 1.0) is None


@given(PAIRS)
def test_the_fitted_ratio_brings_the_sum_out_right(pairs):
    assert estimate_error(pairs, fit_length(pairs).ratio) == pytest.approx(0, abs=1e-9)
