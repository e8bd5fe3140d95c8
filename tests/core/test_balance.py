"""Which deployment takes a call, and which is an outlier."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.balance import (
    Recent,
    draw_two,
    is_outlier,
    keeps_to,
    load,
    preferred,
    takes_first,
)


def recent(ok, failed):
    it = Recent()
    for _ in range(ok):
        it.note(0.0, failed=False)
    for _ in range(failed):
        it.note(0.0, failed=True)
    return it


@pytest.mark.parametrize(
    ("own", "others", "out"),
    [
        ((5, 5), [(10, 0)], True),
        ((0, 5), [(10, 0)], True),
        ((0, 4), [(10, 0)], False),  # too little is known
        ((8, 2), [(10, 0)], False),  # it fails, but not much
        ((5, 5), [(5, 5)], False),  # all fail alike
        ((5, 5), [(8, 2)], True),
        ((5, 5), [], False),  # somebody has to serve
        ((5, 5), [(0, 0)], False),  # nobody knows whether the other is better
    ],
)
def test_outliers(own, others, out):
    assert is_outlier(recent(*own), [recent(*each) for each in others]) is out


def test_what_happened_fades():
    it = recent(0, 8)
    before = it.failed
    it.note(5.0, failed=False)
    assert it.failed == pytest.approx(before / 2 * 0.95)
    assert it.calls == pytest.approx(before / 2 * 0.95 + 1)
    it.forget()
    assert it.share == 0


def test_small_differences_are_noise():
    assert takes_first(1.0, 0.5)
    assert not takes_first(1.1, 0.5)


def test_failing_fast_is_not_being_fast():
    assert load(0, 0.05, 1.0) > load(0, 0.1, 0.0)
    assert load(3, 0.1, 0.0) > load(0, 0.1, 0.0)


@given(st.integers(2, 9), st.floats(0, 1))
def test_two_are_drawn(count, chance):
    first, second = draw_two(count, chance)
    assert first != second
    assert 0 <= first < count
    assert 0 <= second < count


def test_every_pair_is_drawn():
    pairs = Counter(draw_two(3, place / 600) for place in range(600))
    assert sorted(pairs.values()) == [100] * 6


def test_a_conversation_keeps_its_place_when_another_goes():
    names = ["a", "b", "c", "d"]
    for number in range(200):
        chosen = names[preferred(f"talk {number}", names)]
        for gone in names:
            rest = [name for name in names if name != gone]
            if gone != chosen:
                assert rest[preferred(f"talk {number}", rest)] == chosen


def test_conversations_are_spread():
    places = Counter(preferred(f"talk {number}", ["a", "b", "c"]) for number in range(900))
    assert min(places.values()) > 200


def test_a_cache_is_not_worth_a_crowd():
    assert keeps_to(0, 0, 2)
    assert keeps_to(6, 10, 2)
    assert not keeps_to(8, 10, 2)
