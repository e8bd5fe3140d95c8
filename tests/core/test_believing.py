"""What an upstream reports is believed where a model could have done it, and else estimated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.believing import MOST_READ, MOST_SAID, ROUNDS, believed
from gateway.core.chat import Delta, Draft, Piece
from gateway.core.money import Usage

GUESS = 7
SAID = 3


def found(told, choices=1, context=None):
    return believed(told, GUESS, lambda: SAID, choices=choices, context=context)


@pytest.mark.parametrize(
    ("told", "choices", "context", "whole"),
    [
        (Usage(200_000, 128_000, reasoning=127_990), 1, 400_000, (200_000, 128_000)),  # it thought
        (Usage(MOST_READ, MOST_SAID), 1, None, (MOST_READ, MOST_SAID)),
        (Usage(90, 4 * MOST_SAID), 4, None, (90, 4 * MOST_SAID)),
        (Usage(20_000, 5), 1, 1_000, (20_000, 5)),  # its own tools asked it twenty times
        (Usage(0, 0), 0, None, (0, 0)),  # nothing was said
        (Usage(100, 0), 0, None, (100, 0)),
    ],
)
def test_what_a_model_can_do_is_believed(told, choices, context, whole):
    used = found(told, choices, context)
    assert used == told
    assert (used.prompt, used.completion, used.estimated) == (*whole, False)


@pytest.mark.parametrize(
    ("told", "choices", "context", "left"),
    [
        (None, 1, None, Usage(GUESS, SAID, estimated=True)),
        (Usage(100, 90_000_000, reasoning=80_000_000), 1, None, Usage(100, SAID, estimated=True)),
        (Usage(100, 0), 1, None, Usage(100, SAID, estimated=True)),  # told early, and no more
        (Usage(0, 12, reasoning=5), 1, None, Usage(GUESS, 12, reasoning=5, estimated=True)),
        (Usage(MOST_READ + 1, 9, cached=5), 1, None, Usage(GUESS, 9, estimated=True)),
        (Usage(ROUNDS * 1_000 + 1, 9), 1, 1_000, Usage(GUESS, 9, estimated=True)),
        (Usage(9, ROUNDS * 1_000 + 1), 1, 1_000, Usage(9, SAID, estimated=True)),
        (Usage(9, 2 * MOST_SAID + 1), 2, None, Usage(9, SAID, estimated=True)),
        (Usage(9, MOST_SAID + 1), 0, None, Usage(9, SAID, estimated=True)),
        (Usage(0, 0, service="flex"), 1, None, Usage(GUESS, SAID, estimated=True, service="flex")),
    ],
)
def test_what_none_can_is_estimated_each_side_for_itself(told, choices, context, left):
    assert found(told, choices, context) == left


@given(st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 4), st.none() | st.integers(1))
def test_nothing_is_over_its_bounds_and_what_differs_is_marked(prompt, said, choices, context):
    told = Usage(prompt, said, cached=prompt, reasoning=said)
    used = found(told, choices, context)
    assert used.prompt <= MOST_READ
    assert used.completion <= max(1, choices) * MOST_SAID
    assert used.cached <= used.prompt
    assert used.reasoning <= used.completion
    assert used.estimated == (used != told)


def test_a_draft_goes_by_what_has_arrived():
    draft = Draft()
    draft.add(Delta((Piece(0, "five words are said here"),), Usage(100, 90_000_000)))
    assert draft.spent(11, 400_000) == Usage(100, 6, estimated=True)
