from __future__ import annotations

import pytest
from core.events import HEARTBEAT, MARKER, event, said
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import marker
from gateway.core.chat import Delta, Piece
from gateway.core.marker import MarkerFilter
from gateway.core.native import NativeEvent


def cleaned(*deltas):
    """Everything a filter lets through."""
    filtered = MarkerFilter(MARKER)
    ready = [each for delta in deltas for each in filtered.feed(delta)]
    return ready + filtered.flush()


def test_what_holds_no_marker_passes_as_it_came():
    deltas = [event("a ["), event("unsure"), event(" of it]"), event(finish="stop"), HEARTBEAT]
    assert all(a is b for a, b in zip(cleaned(*deltas), deltas, strict=True))


def test_a_beginning_waits_and_what_cannot_become_a_marker_does_not():
    filtered = MarkerFilter(MARKER)
    first, second, third = event("a [uns"), HEARTBEAT, event("ettled]")
    assert [filtered.feed(each) for each in (first, second)] == [[], []]
    assert filtered.feed(third) == [first, second, third]


def test_at_a_finish_nothing_waits():
    filtered = MarkerFilter(MARKER)
    end = event("[", finish="stop")
    assert filtered.feed(end) == [end]


@settings(max_examples=60)
@given(st.data())
def test_a_marker_is_cut_wherever_the_stream_is_split(data):
    text = "sure? " + MARKER + " and then"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=6)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    ready = cleaned(*(event(part) for part in parts), event(finish="stop"))
    assert said(ready) == "sure? "
    assert "".join(d.payload["choices"][0]["delta"]["content"] for d in ready) == "sure? "
    assert all(delta.raw is None or b"uns" not in delta.raw for delta in ready)


def test_it_is_taken_out_of_what_an_upstream_said_in_its_own_dialect():
    quiet = Delta()
    aside = NativeEvent("messages", "x", b'{"odd":"' + MARKER.encode() + b'"}', quiet.payload)
    plain = NativeEvent("messages", "y", b'{"odd":"a"}', quiet.payload)
    ready = cleaned(*(quiet._replace(native=each) for each in (aside, plain)))
    assert [delta.native.data for delta in ready] == [b'{"odd":""}', b'{"odd":"a"}']
    assert [delta.payload is delta.native.payload for delta in ready] == [True, True]


def test_a_choice_s_marker_is_its_own():
    ready = cleaned(event("a" + MARKER[:9], 0), event(MARKER[9:], 1), event(MARKER[9:], 0))
    texts = [(piece.index, piece.text) for delta in ready for piece in delta.pieces]
    assert texts == [(0, "a"), (1, MARKER[9:]), (0, "")]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "refusal"])
def test_a_marker_beside_the_content_is_cut_there_alone(field):
    ready = cleaned(
        event(**{field: "if unsure, " + MARKER[:5]}),
        event(**{field: MARKER[5:] + " it said"}),
        event(**{field: " so"}),
        event("the answer", finish="stop"),
    )
    parts = [delta.payload["choices"][0]["delta"] for delta in ready]
    assert "".join(part.get(field, "") for part in parts) == "if unsure, "
    assert said(ready) == "the answer"


@pytest.mark.parametrize("between", ["reasoning", "reasoning_content", "refusal"])
def test_another_field_s_text_does_not_end_a_beginning(between):
    filtered = MarkerFilter(MARKER)
    first, second = event("so " + MARKER[:9]), event(**{between: "hm"})
    assert [filtered.feed(each) for each in (first, second)] == [[], []]
    ready = filtered.feed(event(MARKER[9:] + " it said", finish="stop"))
    assert said(ready) == "so "
    assert ready[1] is second


def test_what_is_cut_is_not_looked_for_in_all_that_waits(monkeypatch):
    looked = []
    filtered = MarkerFilter(MARKER)
    for each in (event("[", 1), event(MARKER), *[event("x", 2)] * 50):
        filtered.feed(each)
    real = marker.texts_of
    monkeypatch.setattr(marker, "texts_of", lambda delta: looked.append(delta) or real(delta))
    filtered.feed(event("more"))
    assert len(looked) == 2


def arguments(text, number=0, **more):
    return {"index": number, "function": {"arguments": text}, **more}


@settings(max_examples=60)
@given(st.data())
def test_a_marker_in_the_arguments_of_a_call_is_cut(data):
    text = '{"a": "' + MARKER + '"}'
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=6)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    calls = [[arguments(part)] for part in parts]
    calls.insert(1, [arguments("[1]", 1), {"index": 2, "id": "c"}])
    ready = cleaned(*(event(tool_calls=call) for call in calls), event(finish="stop"))
    joined = {}
    for delta in ready:
        for call in delta.payload["choices"][0]["delta"].get("tool_calls", ()):
            number, said_ = call["index"], call.get("function", {}).get("arguments", "")
            joined[number] = joined.get(number, "") + said_
    assert joined == {0: '{"a": "', 1: "[1]", 2: ""}


def test_a_marker_in_a_plain_reply_s_calls_is_cut():
    calls = [{"id": "a", "function": {"arguments": text}} for text in ("{}", MARKER)]
    old = {"name": "f", "arguments": MARKER + "}"}
    choices = [
        {"index": 0, "message": {"tool_calls": calls}},
        {"index": 1, "message": {"function_call": old}},
        {"index": 1, "message": {}},
    ]
    pieces = (
        Piece(0, finish="stop", tool_calls=tuple(calls)),
        Piece(1, finish="stop", tool_calls=({"index": 0, "function": old},)),
    )
    (ready,) = cleaned(Delta(pieces, None, b"raw", {"choices": choices}))
    first, second, third = (choice["message"] for choice in ready.payload["choices"])
    assert [call["function"]["arguments"] for call in first["tool_calls"]] == ["{}", ""]
    assert second == {"function_call": {"name": "f", "arguments": ""}}
    assert third == {}
    assert ready.raw is None


@pytest.mark.parametrize("length", [8, 12, 24])
def test_a_text_cut_off_in_its_marker_loses_that_too(length):
    ends = cleaned(event("42 "), event(MARKER[:length]), event(finish="length"))
    silent = cleaned(event("42 "), event(MARKER[:length]))
    whole = cleaned(event("42 " + MARKER[:length], finish="stop"))
    assert said(ends) == said(silent) == said(whole) == "42 "


def test_what_may_be_a_word_of_its_own_stays():
    assert said(cleaned(event("see [uns"), event(finish="stop"))) == "see [uns"


def test_a_marker_in_a_field_nobody_knows_is_taken_out():
    strange = event("fine", details=[{"text": f"so {MARKER}!", "n": 1}])
    (ready,) = cleaned(strange)
    assert ready.raw is None
    assert ready.payload["choices"][0]["delta"]["details"] == [{"text": "so !", "n": 1}]
    assert said([ready]) == "fine"


@pytest.mark.parametrize("part", [{"delta": "hi"}, {"message": ["hi"]}, {"delta": None}, {}])
def test_a_choice_without_a_message_is_no_fault_of_ours(part):
    odd = Delta((Piece(0),), None, b"{}", {"choices": [{"index": 0, **part}]})
    assert cleaned(odd) == [odd]
