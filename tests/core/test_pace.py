"""What is known of how soon a deployment speaks, and of what waits for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.pace import NOMINAL, Pace, hangs, is_late, usual


def heard(seconds, *, in_vain=0):
    pace = Pace()
    pace.sent("c", 0.0)
    pace.heard("c", seconds)
    for _ in range(in_vain):
        pace.waited_in_vain(2.0)
    return pace


def test_first_words_are_smoothed():
    pace = heard(1.0)
    pace.sent("d", 10.0)
    pace.heard("d", 12.0)
    assert pace.known == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("own", "others", "usually"),
    [
        (0.0, (), NOMINAL),
        (0.0, (0.0,), NOMINAL),
        (0.7, (0.0,), 0.7),
        (0.0, (0.1, 0.3, 0.0), 0.2),
        (9.0, (0.1,), 0.1),
    ],
)
def test_what_is_usual_is_what_others_take(own, others, usually):
    known = [heard(each) if each else Pace() for each in others]
    assert usual(heard(own) if own else Pace(), known) == pytest.approx(usually)


def test_what_was_never_heard_is_taken_to_be_like_the_others_and_not_to_be_fast():
    assert Pace().expected(0.0, 0.2) == 0.2
    assert heard(0.1).expected(0.0, 0.2) == 0.1


def test_who_waits_says_how_slow_it_is_at_the_least():
    pace = Pace()
    pace.sent("c", 10.0)
    pace.sent("d", 12.0)
    assert (pace.silent(13.0), pace.expected(13.0, 0.2)) == (3.0, 3.0)
    assert pace.left("c", 14.0) == 4.0
    assert pace.left("c", 14.0) == 0.0
    assert pace.silent(15.0) == 3.0
    pace.heard("d", 15.0)
    assert pace.silent(99.0) == 0.0
    assert pace.left("never sent", 99.0) == 0.0


def test_a_long_answer_beside_others_that_come_is_no_silence():
    pace = Pace()
    pace.sent("long", 0.0)
    for number in range(1, 60):
        pace.sent(number, float(number))
        pace.heard(number, number + 0.1)
    assert pace.silent(59.2) == pytest.approx(0.1)
    assert pace.expected(59.2, 5.0) == pytest.approx(0.1)


def test_a_wait_in_vain_is_believed_until_it_speaks():
    pace = heard(0.1, in_vain=1)
    assert pace.expected(5.0, 0.1) == 2.0
    pace.sent("d", 5.0)
    pace.heard("d", 5.1)
    assert pace.expected(5.1, 0.1) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("waited", "usually", "late"),
    [(0.2, 0.001, False), (0.3, 0.001, True), (2.0, 1.0, False), (3.1, 1.0, True)],
)
def test_what_is_late(waited, usually, late):
    assert is_late(waited, usually) is late


@pytest.mark.parametrize(
    ("own", "others", "it_hangs"),
    [
        (2, [heard(0.1)], True),
        (1, [heard(0.1)], False),  # it may have been a long answer
        (2, [], False),
        (2, [Pace()], False),  # nobody knows whether the other one speaks
        (2, [heard(0.1, in_vain=1)], False),  # nor now
        (2, [Pace(), heard(0.1)], True),
    ],
)
def test_who_hangs_is_silent_while_another_answers(own, others, it_hangs):
    assert hangs(heard(0.1, in_vain=own), others) is it_hangs


@given(st.lists(st.tuples(st.sampled_from(["sent", "heard", "left"]), st.floats(0, 10))))
def test_silence_is_no_longer_than_the_oldest_wait(steps):
    pace, now, waiting = Pace(), 0.0, {}
    for number, (what, seconds) in enumerate(steps):
        now += seconds
        if what == "sent" or not waiting:
            pace.sent(number, now)
            waiting[number] = now
            continue
        call = next(iter(waiting))
        begun = waiting.pop(call)
        if what == "left":
            assert pace.left(call, now) == now - begun
        else:
            pace.heard(call, now)
        oldest = min(waiting.values(), default=now)
        assert 0.0 <= pace.silent(now) <= now - oldest
