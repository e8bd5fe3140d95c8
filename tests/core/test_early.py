from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import ChatRequest, Delta, Piece
from gateway.core.early import DOUBT, LOOP, PROSE, LowQuantile, Tail, Watch
from gateway.core.verdict import ABSTAIN, Bar, CheckSpec, Early, Finding

NO = Finding("fail", "refusal")
CHECKS = tuple(CheckSpec(name) for name in ("shape", "refusal", "format"))
ASKED = {"model": "m", "messages": []}
JSON = {"response_format": {"type": "json_object"}}


def schema(**inner):
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": inner}}}


def watch(early, *, checks=CHECKS, refuses=lambda reply: ABSTAIN, **body):
    return Watch(Bar(checks=checks, early=early), ChatRequest(ASKED | body), refuses)


def delta(text="", index=0, **more):
    return Delta((Piece(index, text, **more),))


def found(a_watch, *deltas):
    """The first finding, and after how many deltas."""
    for number, each in enumerate(deltas, 1):
        finding = a_watch.hear(each)
        if finding is not None:
            return finding, number
    return None


# ------------------------------------------------------------------ refusal


def declines(reply):
    return NO if "I cannot" in reply.text or reply.choices[0].refusal else ABSTAIN


def test_a_refusal_is_seen_as_soon_as_it_is_said():
    refusing = watch(Early(refusal=True), refuses=declines)
    assert found(refusing, delta("Well, I "), delta("cannot "), delta("x")) == (NO, 2)


def test_a_refusal_in_its_own_field_is_one():
    assert found(watch(Early(refusal=True), refuses=declines), delta(refusal="no")) == (NO, 1)


def test_what_is_no_opening_is_not_looked_at():
    asked = []
    refusing = watch(Early(refusal=True), refuses=lambda reply: asked.append(reply.text) or ABSTAIN)
    assert found(refusing, delta("x" * 150), delta("y" * 50), delta("I cannot"), delta()) is None
    assert asked == ["x" * 150, "x" * 150 + "y" * 10]


@pytest.mark.parametrize(
    ("early", "checks"), [(Early(), CHECKS), (Early(refusal=True), (CheckSpec("shape"),))]
)
def test_a_refusal_is_no_loss_where_nobody_asks_for_it(early, checks):
    refusing = watch(early, checks=checks, refuses=declines)
    assert found(refusing, delta("I cannot", refusal="no")) is None


# ------------------------------------------------------------------ format

BEGINNINGS = {
    "prose": (JSON, "Sure, here is", PROSE),
    "a fence": (JSON, "```json", PROSE),
    "an object": (JSON, '{"a"', None),
    "spaces": (JSON, " \n", None),
    "no object": (JSON, "[1", PROSE),
    "a schema for an object": (schema(type="object"), "[1", PROSE),
    "a schema for anything": (schema(anyOf=[]), "[1", None),
    "prose for anything": (schema(anyOf=[]), "Sure", PROSE),
    "no schema in it": ({"response_format": {"type": "json_schema"}}, "[", PROSE),
    "text": ({"response_format": {"type": "text"}}, "Sure", None),
    "nonsense": ({"response_format": "json"}, "Sure", None),
    "nothing asked": ({}, "Sure", None),
    "tools": (JSON | {"tools": [{"type": "function"}]}, "Let me see", None),
}


@pytest.mark.parametrize(("body", "text", "finding"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_prose_where_json_was_asked_for(body, text, finding):
    assert watch(Early(format=True), **body).hear(delta(text)) == finding


def test_only_its_beginning_tells():
    assert found(watch(Early(format=True), **JSON), delta(), delta(" {"), delta("prose")) is None
    assert found(watch(Early(format=True), **JSON), delta(" "), delta("prose")) == (PROSE, 2)


def test_each_choice_has_a_beginning():
    both = watch(Early(format=True), **JSON)
    assert found(both, delta("{"), delta("{", 1), delta("prose"), delta("no", 2)) == (PROSE, 4)


@pytest.mark.parametrize(
    ("early", "checks"), [(Early(), CHECKS), (Early(format=True), (CheckSpec("shape"),))]
)
def test_prose_is_no_loss_where_nobody_asks_for_it(early, checks):
    assert found(watch(early, checks=checks, **JSON), delta("prose")) is None


# ------------------------------------------------------------------ repetition

LOOPS = {
    "a word": "no " * 200,
    "a letter": "a" * 400,
    "a sentence": "The answer is forty-two, I think. " * 12,
    "a paragraph": ("The same old story, told once more, " * 3 + "but longer.\n\n") * 5,
    "with an echo in it": "and so on and so on and so on, he said; then " * 10,
    "empty lines": "\n" * 300,
}


@pytest.mark.parametrize("text", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_loop_is_seen_however_it_is_cut_up(text, size):
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    tail = Tail()
    assert any(tail.loops(part) for part in ["It begins well enough: ", *parts])


FINE = {
    "a table": "| a | b |\n|---|---|\n" + "".join(f"| {n} | {n * n} |\n" for n in range(80)),
    "a rule": "Title\n" + "=" * 100 + "\nText that goes on for a while after it.",
    "a refrain": "".join(f"{n} bottles of beer on the wall, take one down\n" for n in range(60)),
    "thrice": "The very same sentence, once again, with some more words in it for length. " * 3,
}


@pytest.mark.parametrize("text", FINE.values(), ids=FINE)
def test_what_only_looks_like_one_is_none(text):
    tail = Tail()
    assert not any(tail.loops(text[at : at + 5]) for at in range(0, len(text), 5))


def test_a_loop_is_one_finding_and_only_where_it_is_asked_for():
    loop = [delta("no ")] * 200
    finding, number = found(watch(Early(repetition=True)), *loop)
    assert finding is LOOP
    assert number < 100
    assert found(watch(Early()), *loop) is None


def test_a_long_text_costs_no_more_by_the_piece_than_a_short_one():
    tail = Tail()
    for number in range(2_000):
        tail.loops(f"{number} is another number. ")
    assert len(tail._text) == 1_200


@given(st.text("ab", max_size=400))
def test_a_loop_really_is_one(text):
    tail = Tail()
    if tail.loops(text):
        ends = [text[-period:] for period in range(1, 100) if text.endswith(text[-period:] * 4)]
        assert ends


# ------------------------------------------------------------------ log-probabilities


@given(st.lists(st.floats(-20, 0), min_size=1), st.floats(0, 0.99))
def test_a_running_quantile_is_the_quantile(values, share):
    running = LowQuantile(share)
    for count, value in enumerate(values, 1):
        running.add(value)
        assert running.value == sorted(values[:count])[int(share * count)]
        assert running.count == count


def tokens(*logprobs, index=0):
    return delta("x", index, logprobs=logprobs)


def test_a_draft_of_unlikely_tokens_is_lost():
    doubting = watch(Early(logprob=0.2))
    low, high = math.log(0.1), math.log(0.9)
    steps = [tokens(low), tokens(low), *[tokens(high)] * 20]
    assert found(doubting, *steps) == (DOUBT, 16)


def test_one_unlikely_token_in_many_is_none():
    doubting = watch(Early(logprob=0.2))
    assert found(doubting, tokens(*[-0.1] * 20), tokens(-9.0), tokens(-9.0, -0.1)) is None


def test_without_log_probabilities_nothing_is_doubted():
    assert found(watch(Early(logprob=1.0)), *[delta("x"), tokens(0.5)] * 20) is None
    assert found(watch(Early()), *[tokens(-9.0)] * 20) is None


def test_each_choice_has_its_own():
    doubting = watch(Early(logprob=0.5))
    first, second = [tokens(-9.0)] * 15, [tokens(-9.0, index=1)] * 15
    assert found(doubting, *first, *second, tokens(-9.0)) == (DOUBT, 31)
