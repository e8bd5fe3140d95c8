"""How many calls at once: what moves the limit, and what is set apart of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.concurrency import LEAST, Concurrency, expected_wait


def filled(calls, displaced=0, most=10, reserve=0.2, *, adaptive=True):
    it = Concurrency(most, adaptive=adaptive, reserve=reserve)
    for place in range(calls):
        it.enter(displaced=place < displaced)
    return it


@pytest.mark.parametrize(
    ("calls", "displaced", "direct", "escalation"),
    [
        (0, 0, True, True),
        (9, 0, True, True),
        (10, 0, False, False),
        (7, 7, True, True),
        (8, 8, True, False),
        (9, 8, True, False),
        (9, 7, True, True),
    ],
)
def test_a_share_is_kept_for_who_starts_here(calls, displaced, direct, escalation):
    it = filled(calls, displaced)
    assert (it.admits(displaced=False), it.admits(displaced=True)) == (direct, escalation)


def test_even_a_tier_all_reserved_takes_one_escalation():
    assert filled(0, reserve=1.0).admits(displaced=True)
    assert not filled(1, 1, reserve=1.0).admits(displaced=True)


def test_without_a_limit_there_is_none():
    assert filled(5_000, 5_000, most=0).admits(displaced=True)


def test_it_falls_when_it_was_too_much_and_rises_again():
    it = filled(100, most=512)
    assert it.too_much(0.0)
    assert it.limit == pytest.approx(70)
    assert not it.too_much(0.9), "those were under way at the first"
    assert it.too_much(1.0)
    assert it.limit == pytest.approx(49)
    for _ in range(49):
        it.answered()
    assert 49.9 < it.limit < 50.1


def test_it_does_not_rise_where_it_is_not_used():
    it = filled(100, most=512)
    it.too_much(0.0)
    for _ in range(80):
        it.leave(displaced=False)
    it.answered()
    assert it.limit == pytest.approx(70)


def test_a_fixed_limit_stays():
    it = filled(10, adaptive=False)
    assert not it.too_much(0.0)
    it.answered()
    assert it.limit == 10


@given(st.lists(st.sampled_from(["enter", "leave", "answered", "too_much"]), max_size=200))
def test_it_stays_within_its_bounds(events):
    it, now = Concurrency(20, adaptive=True, reserve=0.2), 0.0
    for event in events:
        now += 0.3
        if event == "enter" and it.admits(displaced=False):
            it.enter(displaced=False)
        elif event == "leave" and it.in_flight:
            it.leave(displaced=False)
        elif event == "answered":
            it.answered()
        elif event == "too_much":
            it.too_much(now)
        assert LEAST <= it.limit <= 20
        assert 0 <= it.in_flight <= 20


def test_the_wait_in_line():
    assert expected_wait(0, 10, 1.0) == pytest.approx(0.1)
    assert expected_wait(99, 10, 1.0) == pytest.approx(10)
    assert expected_wait(1, 0.0, 1.0) == pytest.approx(2)
