from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.checks.confidence import logprob, unsure
from gateway.core.chat import ChatRequest, Choice, Reply
from gateway.core.verdict import ABSTAIN, PASS, Finding

ASKED = ChatRequest({"model": "m", "messages": []})
MARKER = "[unsure:0123]"
LOGPROBS = st.lists(st.floats(-50, 0), min_size=1, max_size=40).map(tuple)


def confidence(*several):
    choices = tuple(Choice("x", logprobs=logprobs) for logprobs in several)
    return logprob(ASKED, Reply(choices)).confidence


def test_without_log_probabilities_it_has_nothing_to_say():
    assert logprob(ASKED, Reply((Choice("x"),))) == ABSTAIN
    assert logprob(ASKED, Reply(())) == ABSTAIN


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        ((0.0, 0.0), 1.0),
        ((-2.0,), math.exp(-2)),
        ((-0.1, -4.0), math.exp(-4)),
        ((-4.0, *[-0.2] * 19), math.exp(-(4.0 + 0.2) / 2)),
        ((0.5,), 1.0),
        ((2_000.0,), 1.0),
        ((-1e9,), 0.0),
    ],
)
def test_it_is_the_mean_of_the_least_likely_and_the_low_quantile(logprobs, expected):
    assert confidence(logprobs) == pytest.approx(expected)


def test_the_least_sure_choice_speaks():
    assert confidence((-0.1,), (-3.0,), ()) == pytest.approx(math.exp(-3))


@given(LOGPROBS, st.randoms())
def test_it_is_a_probability_whatever_the_order(logprobs, random):
    shuffled = list(logprobs)
    random.shuffle(shuffled)
    assert 0 <= confidence(logprobs) == confidence(tuple(shuffled)) <= 1


@given(LOGPROBS, st.floats(-50, 0))
def test_a_less_likely_token_never_makes_it_surer(logprobs, worse):
    low = min((*logprobs, worse))
    assert confidence((*logprobs[:-1], low)) <= confidence(logprobs) + 1e-12


@pytest.mark.parametrize(
    ("texts", "complete", "found"),
    [
        (["sure"], True, PASS),
        (["sur"], False, ABSTAIN),
        (["no " + MARKER], True, Finding("fail", "unsure")),
        (["no " + MARKER], False, Finding("fail", "unsure")),
        (["yes", MARKER], True, Finding("fail", "unsure")),
        (["[unsure"], True, PASS),
        (["no [unsure:01"], True, Finding("fail", "unsure")),  # a stop or a bound cut it
        (["no [unsure:01"], False, ABSTAIN),
        (["[unsure:99"], True, PASS),
        ([], True, PASS),
    ],
)
def test_its_own_word(texts, complete, found):
    assert unsure(MARKER)(ASKED, Reply(tuple(map(Choice, texts)), complete)) == found


def test_its_own_word_in_the_arguments_of_a_call():
    call = {"id": "c", "name": "f", "arguments": f'{{"city": "{MARKER}"}}'}
    reply = Reply((Choice(tool_calls=({**call, "arguments": "{}"}, call)),))
    assert unsure(MARKER)(ASKED, reply) == Finding("fail", "unsure")
