"""The circuit breaker, moment by moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.breaker import Breaker


def play(story, **how):
    """Tell a breaker a story; return what it said at each `?` (its state) and `e` (a ticket?).

    `s` and `f` end a fresh call, `+2` lets two seconds pass, `e` enters and keeps the ticket, `S`,
    `F` and `L` end the kept one, `r9` is told to stay away until 9.
    """
    breaker, now, kept, said = Breaker(**how), 0.0, None, []
    for word in story.split():
        if word == "?":
            said.append(breaker.state(now))
        elif word == "e":
            kept = breaker.enter(now)
            said.append(kept is not None)
        elif word in "sf":
            ticket = breaker.enter(now)
            assert ticket is not None
            breaker.succeed(ticket) if word == "s" else breaker.fail(ticket, now)
        elif word in "SFL":
            ended = {"S": breaker.succeed, "L": breaker.leave}
            breaker.fail(kept, now) if word == "F" else ended[word](kept)
        elif word[0] == "r":
            breaker.rest(float(word[1:]))
        else:
            now += float(word)
    return said


@pytest.mark.parametrize(
    ("story", "said"),
    [
        ("f f ?", ["closed"]),
        ("f f f ?", ["open"]),
        ("f f s f f ?", ["closed"]),
        ("f f f e", [False]),
        ("f f f +5 ? e ? e", ["half_open", True, "half_open", False]),
        ("f f f +5 e S ? f f ?", [True, "closed", "closed"]),
        ("f f f +5 e F ? +4.9 e +0.1 e", [True, "open", False, True]),
        ("f f f +5 e L e S ?", [True, True, "closed"]),
        # what began before it opened changes nothing afterwards
        ("e f f f +4 F +1 e", [True, True]),
        ("e f f f S ?", [True, "open"]),
        ("e f f f +5 L e", [True, True]),
        ("r9 ? e +9 e S ?", ["open", False, True, "closed"]),
        ("f f f r9 +8 e +1 e", [False, True]),
        ("f f f r1 +4 e +1 e", [False, True]),
    ],
)
def test_stories(story, said):
    assert play(story, failures=3, pause=5.0) == said


def test_without_a_number_of_failures_only_word_from_there_opens_it():
    assert play("f f f f f f f f ? r3 ?", failures=0) == ["closed", "open"]


def test_it_says_what_it_changed():
    breaker = Breaker(failures=1, pause=1.0)
    assert breaker.closed
    assert breaker.allows(0.0)
    assert not breaker.succeed(breaker.enter(0.0))
    old = breaker.enter(0.0)
    assert breaker.fail(old, 0.0)
    assert not breaker.closed
    assert not breaker.allows(0.5)
    assert not breaker.fail(old, 0.0)
    assert breaker.allows(1.0)
    probe = breaker.enter(1.0)
    assert not breaker.allows(1.0)
    assert breaker.succeed(probe)


def test_a_call_that_goes_on_counts_again_by_its_new_ticket():
    breaker = Breaker(failures=1, pause=2.0)
    breaker.fail(breaker.enter(0.0), 0.0)
    probe = breaker.enter(2.0)
    assert breaker.succeed(probe), "its first word"
    assert not breaker.fail(probe, 3.0), "of before"
    assert breaker.fail(breaker.ticket, 3.0)


@given(st.lists(st.tuples(st.sampled_from("sfl"), st.floats(0, 3)), max_size=60))
def test_it_always_comes_back(ends):
    """Whatever happened: once all is well, a call after the pause closes it; and while it is open
    no two calls are under way."""
    breaker, now = Breaker(failures=2, pause=2.0), 0.0
    for how, seconds in ends:
        now += seconds
        ticket = breaker.enter(now)
        if ticket is None:
            assert not breaker.closed
            continue
        if not breaker.closed:
            assert breaker.enter(now) is None
        {"s": breaker.succeed, "l": breaker.leave}.get(how, lambda t: breaker.fail(t, now))(ticket)  # noqa: B023
    ticket = breaker.enter(now + 2.0)
    breaker.succeed(ticket)
    assert breaker.closed
