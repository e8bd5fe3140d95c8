"""OpenAI's Responses as a tier's wire over real sockets: sent, heard, and failed with."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from dialects.telling import chunks_of, delta_of, heard, told
from dialects.test_responses_both_ways import ASKED
from upstreams.asking import TIER, adapter, ask
from upstreams.scripted import Scripted, streamed, whole

from gateway.core.money import Usage
from gateway.core.native import NativeRequest
from gateway.dialects.responses import RESPONSES

SPOKEN = replace(TIER, wire="responses")
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "seed": 7}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
REPLY = {
    "id": "resp_1",
    "created": 7,
    "model": "theirs",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "tool_calls": [CALL]},
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 41, "completion_tokens": 17, "total_tokens": 58},
}
PLAIN = RESPONSES.plain(delta_of(REPLY), ASKED, Usage())
STREAM = told(RESPONSES.stream(ASKED), chunks_of(REPLY, 3))


async def answer(*script, stream=False, **fields):
    async with Scripted(*script) as server, adapter(server.url) as one:
        got = await ask(one, stream=stream, tier=SPOKEN, body=BODY, **fields)
    got.request = server.requests[0]
    return got


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_is_asked_and_answered(stream):
    dropped = []
    script = streamed(STREAM) if stream else whole(PLAIN)
    got = await answer(script, stream=stream, on_dropped=dropped.extend, strip_usage=True)
    start, _, body = got.request.partition(b"\r\n\r\n")
    assert start.startswith(b"POST /v1/responses ")
    sent = {"model": "m", "input": [{"role": "user", "content": "hi"}], "store": False}
    assert orjson.loads(body) == sent | ({"stream": True} if stream else {})
    assert (got.error, got.text, dropped) == (None, "Hello", ["seed"])
    assert [delta.usage for delta in got.deltas if delta.usage] == [Usage(41, 17)]
    assert not any("usage" in d.payload for d in got.deltas if stream)


SPENT = {"input_tokens": 41, "output_tokens": 17, "total_tokens": 58}
DETAILS = {
    "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 4},
    "output_tokens_details": {"reasoning_tokens": 9},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (SPENT, Usage(41, 17, service="flex")),
        (SPENT | DETAILS, Usage(41, 17, 30, 4, 9, service="flex")),
        ({}, None),
        (SPENT | {"input_tokens": -1}, None),
        (SPENT | {"output_tokens": "17"}, None),
    ],
)
async def test_a_reply_costs_the_same_plain_and_streamed(stream, usage, read):
    """What cannot be true is estimated, as what is not told is; it is never nothing."""
    ended = orjson.loads(PLAIN) | {"usage": usage, "service_tier": "flex"}
    whole_stream = event(type="response.completed", response=ended)
    got = await answer(
        streamed(whole_stream) if stream else whole(orjson.dumps(ended)), stream=stream
    )
    assert got.error is None
    assert [delta.usage for delta in got.deltas if delta.usage] == ([read] if read else [])


async def test_a_stream_tells_its_usage_where_it_was_asked_for():
    got = await answer(streamed(STREAM), stream=True)
    last = got.deltas[-1].payload
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 58)


async def test_a_client_s_own_request_and_reply_go_through_as_they_are():
    own = {"model": "waterfall", "input": "hi", "previous_response_id": "resp_0", "odd": 1}
    native = NativeRequest("responses", own, BODY)
    got = await answer(streamed(STREAM), stream=True, native=native)
    assert orjson.loads(got.request.partition(b"\r\n\r\n")[2]) == {**own, "model": "m"}
    events = [(d.native.name, orjson.loads(d.native.data)) for d in got.deltas]
    assert events == heard(STREAM, 10**6)
    plain = await answer(whole(PLAIN), native=native)
    assert plain.deltas[0].native.data == PLAIN


FAILED = orjson.dumps(
    {"id": "r", "status": "failed", "error": {"code": "rate_limit_exceeded", "message": "m"}}
)


def event(**fields):
    return b"data: " + orjson.dumps(fields) + b"\n\n"


@pytest.mark.parametrize(
    ("script", "stream", "kind"),
    [
        (whole(FAILED), False, "rate_limited"),
        (whole(b"{}"), False, "bad_response"),
        (whole(b"<html>", content_type="text/html"), True, "bad_response"),
        (streamed(STREAM[: len(STREAM) // 2]), True, "bad_response"),
        (
            streamed(event(type="response.failed", response=orjson.loads(FAILED))),
            True,
            "rate_limited",
        ),
        (streamed(event(type="error", code="server_overloaded", message="m")), True, "overloaded"),
        (streamed(event(type="response.output_text.delta", delta=7)), True, "bad_response"),
        (
            whole(b'{"error":{"code":"context_length_exceeded","message":"long"}}', 400),
            True,
            "context_length",
        ),
    ],
)
async def test_a_failure_is_told_for_what_it_is(script, stream, kind):
    assert (await answer(script, stream=stream)).error.kind == kind
