"""Replies and events to deltas: what is read, what is taken out, what is refused."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import Delta, Draft, Piece
from gateway.core.money import Usage
from gateway.upstreams.wire import event_delta, plain_delta


def plain(raw, strip=False):
    raw = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    return plain_delta(raw, strip_logprobs=strip)


def event(data, usage=False, logprobs=False):
    data = data if isinstance(data, bytes) else orjson.dumps(data)
    return event_delta(data, strip_usage=usage, strip_logprobs=logprobs)


def message(**fields):
    return {"choices": [{"index": 0, "message": fields, "finish_reason": "stop"}]}


def part(**fields):
    return {"choices": [{"index": 0, "delta": fields}]}


LOGPROBS = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -2}]}
USED = {"prompt_tokens": 41, "completion_tokens": 17}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

# ------------------------------------------------------------------ pieces

MESSAGES = {
    "text": ({"content": "hi"}, Piece(text="hi", finish="stop")),
    "null": ({"content": None}, Piece(finish="stop")),
    "absent": ({"role": "assistant"}, Piece(finish="stop")),
    "parts": (
        {"content": [{"type": "text", "text": "a"}, "b", {"type": "refusal", "refusal": "no"}]},
        Piece(text="ab", refusal="no", finish="stop", more=True),
    ),
    "thoughts": (
        {"content": "a", "reasoning_content": "hm"},
        Piece(text="a", finish="stop", more=True),
    ),
    "no thoughts": (
        {"content": "a", "reasoning_content": None, "annotations": []},
        Piece(text="a", finish="stop"),
    ),
    "refusal": ({"content": None, "refusal": "no"}, Piece(refusal="no", finish="stop")),
    "tools": ({"content": None, "tool_calls": [CALL]}, Piece(finish="stop", tool_calls=(CALL,))),
    "legacy tool": (
        {"function_call": {"name": "f", "arguments": "{}"}},
        Piece(
            finish="stop",
            tool_calls=(
                {"index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ),
            more=True,
        ),
    ),
    "arguments as JSON": (
        {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
        Piece(finish="stop", tool_calls=({"function": {"name": "f", "arguments": '{"a":1}'}},)),
    ),
    "a null index": (
        {"tool_calls": [{"index": None, "function": None}]},
        Piece(finish="stop", tool_calls=({"function": None},)),
    ),
}


@pytest.mark.parametrize(("fields", "piece"), MESSAGES.values(), ids=MESSAGES)
def test_a_message_is_read_plain_and_streamed(fields, piece):
    raw = orjson.dumps(message(**fields))
    assert plain(raw) == Delta((piece,), None, raw, orjson.loads(raw))
    chunk = {"choices": [{"index": 0, "delta": fields, "finish_reason": "stop"}]}
    assert event(chunk).pieces == (piece,)
    Draft().add(event(chunk))  # whatever passes here, the draft can take


def test_choices_keep_their_index():
    wire = {"choices": [{"index": 2, "delta": {"content": "c"}}, {"index": 0, "delta": {}}]}
    assert event(wire).pieces == (Piece(2, "c"), Piece(0))


def test_an_empty_finish_reason_is_none():
    assert event({"choices": [{"delta": {}, "finish_reason": ""}]}).pieces == (Piece(),)


@pytest.mark.parametrize(
    ("logprobs", "read"),
    [
        (LOGPROBS, (-0.5, -2.0)),
        (None, ()),
        ({"content": None}, ()),
        (
            {"content": [{"logprob": value} for value in (2_000, 0.1, 1e-6, True, -9999)]},
            (0, -9999),
        ),
        ({"content": [None, {"logprob": None}, {"logprob": "x"}, {"logprob": -1.0}]}, (-1.0,)),
        ("high", ()),
    ],
)
def test_log_probabilities_are_read_tolerantly(logprobs, read):
    assert event({"choices": [{"delta": {}, "logprobs": logprobs}]}).pieces[0].logprobs == read


# ------------------------------------------------------------------ usage

USAGES = {
    "plain": (USED, Usage(41, 17)),
    "details": (
        {
            **USED,
            "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 9},
        },
        Usage(41, 17, cached=30, cache_write=5, reasoning=9),
    ),
    "null details": ({**USED, "prompt_tokens_details": None}, Usage(41, 17)),
    "odd details": ({**USED, "prompt_tokens_details": [3]}, Usage(41, 17)),
    "cached over whole": (
        {**USED, "prompt_tokens_details": {"cached_tokens": 99}},
        Usage(41, 17, cached=41),
    ),
    "missing": (None, None),
    "empty": ({}, None),
    "negative": ({"prompt_tokens": -1, "completion_tokens": 17}, None),
    "absurd": ({"prompt_tokens": 10**18, "completion_tokens": 17}, None),
    "text": ({"prompt_tokens": "41", "completion_tokens": 17}, None),
    "half": ({"prompt_tokens": 41}, None),
    "a list": ([41, 17], None),
}


@pytest.mark.parametrize(("reported", "usage"), USAGES.values(), ids=USAGES)
def test_usage_is_believed_only_when_it_can_be_true(reported, usage):
    assert plain({**message(content="x"), "usage": reported}).usage == usage
    assert event({"choices": [], "usage": reported}).usage == usage


# ------------------------------------------------------------------ what is forwarded

ODDLY_SPACED = b'{ "model":"theirs",  "choices":[{"message":{"content":"x"},"extra":1e2}] }'


@pytest.mark.parametrize("strip", [False, True])
def test_bytes_without_anything_of_ours_are_kept(strip):
    assert plain(ODDLY_SPACED, strip).raw == ODDLY_SPACED
    chunk = ODDLY_SPACED.replace(b"message", b"delta")
    assert event(chunk, usage=strip, logprobs=strip).raw == chunk


def test_logprobs_the_client_wanted_stay():
    raw = orjson.dumps({"choices": [{"message": {"content": "x"}, "logprobs": LOGPROBS}]})
    assert plain(raw).raw == raw


def test_logprobs_of_ours_go_and_nothing_else():
    choice = {"index": 0, "message": {"content": "x"}, "odd": [1.5, None]}
    wire = {"id": "i", "choices": [{**choice, "logprobs": LOGPROBS}], "usage": USED, "more": {}}
    delta = plain(wire, strip=True)
    assert delta.pieces[0].logprobs == (-0.5, -2.0)
    assert orjson.loads(delta.raw) == {"id": "i", "choices": [choice], "usage": USED, "more": {}}
    assert delta.payload == orjson.loads(delta.raw)
    wire["choices"][0]["delta"] = wire["choices"][0].pop("message")
    assert b"logprob" not in event(wire, logprobs=True).raw


def test_a_usage_chunk_of_ours_is_kept_from_the_client():
    chunk = {"id": "i", "choices": [], "usage": USED}
    assert event(chunk, usage=True) == Delta((), Usage(41, 17), b"")
    assert event({"usage": USED}, usage=True).raw == b""
    assert event({"choices": [], "usage": {"prompt_tokens": -1}}, usage=True).raw == b""
    assert orjson.loads(event(chunk).raw) == chunk


def test_a_usage_in_a_content_chunk_goes_too():
    delta = event({"id": "i", **part(content="x"), "usage": USED}, usage=True)
    assert orjson.loads(delta.raw) == {"id": "i", **part(content="x")}
    assert delta.usage == Usage(41, 17)
    assert "usage" not in delta.payload


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b'{"choices":[{"delta":{}}],"usage":null}', b'{"choices":[{"delta":{}}]}'),
        (b'{"usage":null,"choices":[]}', b'{"choices":[]}'),
        (b'{"choices":[], "usage": null}', b'{"choices":[]}'),
        (
            rb'{"choices":[{"delta":{"content":",\"usage\":null"}}],"usage":null}',
            rb'{"choices":[{"delta":{"content":",\"usage\":null"}}]}',
        ),
        (
            b'{"x":{"a":1,"usage":null},"choices":[],"usage":null}',
            b'{"x":{"a":1,"usage":null},"choices":[]}',
        ),
    ],
)
def test_a_null_usage_of_ours_goes(data, kept):
    assert event(data, usage=True).raw == kept
    assert event(data).raw == data


def test_an_event_over_several_lines_becomes_one():
    delta = event(b'{"choices":\n[{"delta":{"content":"a\\nb"}}]}')
    assert delta.raw == b'{"choices":[{"delta":{"content":"a\\nb"}}]}'


@pytest.mark.parametrize("data", [b"{}", b'{"type":"ping"}', b'{"id":"x","usage":null}'])
def test_a_heartbeat_is_not_for_the_client(data):
    assert event(data) == Delta()


def test_a_cut_emoji_passes_byte_for_byte():
    data = rb'{"choices":[{"delta":{"content":"a\ud83d \ud83c\udf0a \\ud800 \"\udf0a"}}]}'
    delta = event(data)
    assert delta.raw == data
    assert delta.pieces[0].text == 'a\ufffd 🌊 \\ud800 "\ufffd'


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_any_text_is_read_and_kept(text):
    """Every string, halves of surrogate pairs included, in JSON of plain ASCII."""
    data = json.dumps(part(content=text)).encode()
    delta = event(data)
    assert delta.raw == data
    assert delta.pieces[0].text == text.encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    )
    orjson.dumps(delta.payload)
