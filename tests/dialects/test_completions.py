"""OpenAI's older completions: a prompt is a message, its reply a text, plain and streamed alike."""

from __future__ import annotations

import orjson
import pytest
from dialects.telling import chunks_of, cut, delta_of, replies, told
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, StreamBroken
from gateway.core.money import Usage
from gateway.dialects.completions import COMPLETIONS, MAX_TOKENS, read_request
from gateway.upstreams.sse import Decoder


def asked(**fields):
    return read_request({"model": "m", "prompt": "Once", **fields}, {})


@given(replies(), st.integers(1, 40), st.integers(1, 40), st.booleans())
@settings(max_examples=60)
def test_a_stream_comes_to_what_the_plain_reply_is(reply, size, block, echo):
    request = asked(echo=echo)
    plain = orjson.loads(COMPLETIONS.plain(delta_of(reply), request, Usage()))
    (whole,) = plain["choices"]
    content = reply["choices"][0]["message"]["content"] or ""
    assert whole["text"] == ("Once" if echo else "") + content
    assert whole["finish_reason"] == reply["choices"][0]["finish_reason"]
    assert (plain["object"], plain["usage"]) == ("text_completion", reply["usage"])
    decoder = Decoder()
    stream = told(COMPLETIONS.stream(request), chunks_of(reply, size))
    data = [event.data for part in cut(stream, block) for event in decoder.feed(part)]
    assert data.pop() == b"[DONE]"
    chunks = [orjson.loads(each) for each in data]
    assert chunks[-1]["usage"] == reply["usage"]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    assert [c["finish_reason"] for c in choices if c["finish_reason"]] == [whole["finish_reason"]]


def test_a_request_is_read_as_a_chat_s():
    body = {"model": "m", "prompt": ["Once"], "n": 2, "best_of": 2, "logprobs": 3, "odd": [1]}
    assert read_request(body, {}).body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Once"}],
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "max_tokens": MAX_TOKENS,
        "odd": [1],
    }
    assert asked(logprobs=0, max_tokens=5).body["max_tokens"] == 5
    assert "top_logprobs" not in asked(logprobs=0).body


@pytest.mark.parametrize(
    ("fields", "only"),
    [
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo with logprobs"),
    ],
)
def test_what_no_chat_can_do_is_known(fields, only):
    assert asked(**fields).native.only == (only,)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"echo": 1}, "echo"),
        ({"best_of": 0}, "best_of"),
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
    ],
)
def test_what_cannot_be_asked_names_its_field(fields, param):
    with pytest.raises(BadRequest) as raised:
        asked(**fields)
    assert raised.value.param == param


def test_log_probabilities_stand_in_columns_with_each_token_s_place():
    def odds(token, logprob):
        top = {"token": token, "logprob": logprob}
        return {"token": token, "logprob": logprob, "top_logprobs": [top]}

    def chunk(text, *tokens):
        logprobs = {"content": list(tokens)} if tokens else None
        return {"choices": [{"index": 0, "delta": {"content": text}, "logprobs": logprobs}]}

    a, b = odds("Up", -0.5), odds("on", -1.5)
    message = {"message": {"content": "Upon"}, "logprobs": {"content": [a, b]}}
    plain = orjson.loads(COMPLETIONS.plain(delta_of({"choices": [message]}), asked(), Usage()))
    assert plain["choices"][0]["logprobs"] == {
        "tokens": ["Up", "on"],
        "token_logprobs": [-0.5, -1.5],
        "top_logprobs": [{"Up": -0.5}, {"on": -1.5}],
        "text_offset": [0, 2],
    }
    telling = COMPLETIONS.stream(asked())
    events = [telling.feed(delta_of(each)) for each in (chunk("Up", a), chunk("on", b))]
    last = orjson.loads(events[1].removeprefix(b"data: "))
    assert last["choices"][0]["logprobs"]["text_offset"] == [2]


def test_a_broken_stream_ends_in_an_error():
    told_of = COMPLETIONS.stream(asked()).fail(StreamBroken("broken"))
    assert told_of.startswith(b"event: error\ndata: ")
    assert b'"code":"stream_broken"' in told_of
