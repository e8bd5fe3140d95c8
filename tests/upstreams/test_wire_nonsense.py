"""What is no reply: refused by name, and never a traceback."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import Draft
from gateway.core.errors import UpstreamBusy, UpstreamDown, UpstreamError, UpstreamRejected
from gateway.upstreams.wire import event_delta, plain_delta


def plain(wire):
    raw = wire if isinstance(wire, bytes) else orjson.dumps(wire)
    return plain_delta(raw, strip_logprobs=False)


def event(wire):
    return event_delta(orjson.dumps(wire), strip_usage=False, strip_logprobs=False)


def message(**fields):
    return {"choices": [{"index": 0, "message": fields, "finish_reason": "stop"}]}


def part(**fields):
    return {"choices": [{"index": 0, "delta": fields}]}


# ------------------------------------------------------------------ nonsense

NONSENSE = {
    "empty": b"",
    "html": b"<html>busy</html>",
    "cut off": b'{"choices":[{"message":{"content":"x',
    "not utf-8": b'{"choices":[{"message":{"content":"\xff"}}]}',
    "bad escape": rb'{"choices":[{"message":{"content":"\u12"}}]}',
    "nan": b'{"choices":[{"message":{},"logprobs":NaN}]}',
    "null": b"null",
    "list": b"[]",
    "text": b'"hi"',
    "choices not a list": b'{"choices":{"0":{}}}',
    "a choice is null": b'{"choices":[null]}',
    "message is text": b'{"choices":[{"message":"hi","delta":"hi"}]}',
    "content is a number": orjson.dumps(message(content=4) | part(content=4)),
    "part is a number": b'{"choices":[{"message":{"content":[4]},"delta":{"content":[4]}}]}',
    "index is text": b'{"choices":[{"index":"0","message":{},"delta":{}}]}',
    "index is true": b'{"choices":[{"index":true,"message":{},"delta":{}}]}',
    "index is negative": b'{"choices":[{"index":-1,"message":{},"delta":{}}]}',
    "index is absurd": b'{"choices":[{"index":1e6,"message":{},"delta":{}}]}',
    "finish is a number": b'{"choices":[{"finish_reason":1,"message":{},"delta":{}}]}',
}
BAD_CALLS = {
    "calls are an object": {},
    "a call is null": [None],
    "its index is text": [{"index": "a"}],
    "its function is text": [{"function": "f"}],
    "its name is a number": [{"function": {"name": 1}}],
    "its arguments are a number": [{"function": {"arguments": 1}}],
}


def both(data):
    yield lambda: plain_delta(data, strip_logprobs=True)
    yield lambda: event_delta(data, strip_usage=True, strip_logprobs=True)


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused(data):
    for read in both(data):
        with pytest.raises(UpstreamDown) as raised:
            read()
        assert raised.value.kind == "bad_response"


@pytest.mark.parametrize("calls", BAD_CALLS.values(), ids=BAD_CALLS)
def test_nonsense_for_tools_is_refused(calls):
    with pytest.raises(UpstreamDown, match="tool call"):
        plain(message(tool_calls=calls))
    with pytest.raises(UpstreamDown, match="tool call"):
        event(part(tool_calls=calls))


@pytest.mark.parametrize(
    "data", [b"{}", b'{"choices":[]}', b'{"choices":null}', b'{"choices":[{}]}']
)
def test_a_plain_reply_has_choices_with_messages(data):
    with pytest.raises(UpstreamDown, match="no "):
        plain(data)


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        ({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, UpstreamBusy),
        ({"error": {"message": "bad", "code": 400}, "choices": []}, UpstreamRejected),
        ({"object": "error", "message": "bad", "code": 422}, UpstreamRejected),
        ({"error": "boom"}, UpstreamDown),
    ],
)
def test_an_error_in_place_of_a_reply_is_raised(wire, kind):
    for read in both(orjson.dumps(wire)):
        with pytest.raises(kind):
            read()


def test_a_null_error_is_none():
    assert plain({**message(content="x"), "error": None}).pieces[0].text == "x"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "stop"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "choices index message delta content text refusal finish_reason logprobs logprob "
                "tool_calls function name arguments usage prompt_tokens error code".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
CHOICE = st.dictionaries(
    st.sampled_from("index message delta finish_reason logprobs".split()), JSON, max_size=5
)


@given(JSON | st.fixed_dictionaries({"choices": st.lists(CHOICE, min_size=1, max_size=3)}))
def test_any_json_is_a_delta_or_an_upstream_error(wire):
    for read in both(orjson.dumps(wire)):
        try:
            delta = read()
        except UpstreamError:
            continue
        draft = Draft()
        draft.add(delta)
        draft.reply(complete=True)
        orjson.dumps(delta.payload)
