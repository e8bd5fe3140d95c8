"""Anthropic's Messages as an upstream over real sockets: what is sent, heard, and failed with."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from dialects.samples import CALL, MESSAGE, THOUGHT, named, stream_of
from upstreams.asking import KEY, TIER, adapter, ask
from upstreams.scripted import Scripted, streamed, whole

from gateway.core.money import Usage
from gateway.core.native import NativeRequest
from gateway.upstreams.simulated import Behaviour, serve_simulated

CLAUDE = replace(TIER, wire="messages")
USED = Usage(2341, 17, cached=2000, cache_write=300, service="standard")
ASKED = {
    "model": "claude-sonnet-4-5",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
    "seed": 7,
    "odd": [1, None],
}


async def answer(*script, stream=False, **fields):
    async with Scripted(*script) as server, adapter(server.url, key_header="x-api-key") as one:
        heard = await ask(one, stream=stream, tier=CLAUDE, body=ASKED, **fields)
    heard.request = server.requests[0]
    return heard


async def test_the_request_on_the_wire():
    dropped = []
    heard = await answer(whole(orjson.dumps(MESSAGE)), on_dropped=dropped.extend)
    start, _, body = heard.request.partition(b"\r\n\r\n")
    lines = start.split(b"\r\n")
    assert lines[0] == b"POST /v1/messages HTTP/1.1"
    assert {b"x-api-key: " + KEY.encode(), b"anthropic-version: 2023-06-01"} <= set(lines)
    assert b"authorization" not in start
    assert orjson.loads(body) == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 8192,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "odd": [1, None],
    }
    assert dropped == ["seed"]


async def test_a_plain_reply_is_a_chat_completion():
    heard = await answer(whole(orjson.dumps(MESSAGE)))
    (delta,) = heard.deltas
    said = delta.payload["choices"][0]["message"]
    assert said["content"] == heard.text == "I shall look."
    assert said["reasoning_content"] == "Two wheels."
    assert said["thinking_blocks"] == [THOUGHT]
    call = said["tool_calls"][0]
    assert (call["id"], call["function"]["name"]) == ("toolu_7", "weather")
    assert orjson.loads(call["function"]["arguments"]) == CALL["input"]
    assert delta.payload["choices"][0]["finish_reason"] == "tool_calls"
    assert delta.payload["usage"]["prompt_tokens"] == 2341
    assert delta.usage == USED
    assert delta.native is None


async def test_a_stream_tells_its_usage_only_where_it_was_asked_for():
    script = streamed(*named(stream_of(THOUGHT, {"type": "text", "text": "Hello you."}, CALL)))
    for strip in (True, False):
        heard = await answer(script, stream=True, strip_usage=strip)
        assert (heard.error, heard.text) == (None, "Hello you.")
        assert [delta.usage for delta in heard.deltas if delta.usage] == [replace(USED, service="")]
        told = [delta.payload["usage"] for delta in heard.deltas if delta.payload.get("usage")]
        assert [each["total_tokens"] for each in told] == ([] if strip else [2358])


@pytest.mark.parametrize(
    ("start", "end", "used"),
    [
        ({"input_tokens": 41}, {"input_tokens": 0, "output_tokens": 7}, Usage(41, 7)),
        ({"input_tokens": 0}, {"input_tokens": 41, "output_tokens": 7}, Usage(41, 7)),
        (
            {"input_tokens": 41, "cache_read_input_tokens": 9},
            {"input_tokens": 0, "cache_read_input_tokens": 50, "output_tokens": 7},
            Usage(50, 7, 50),
        ),
        (
            {"input_tokens": 1, "cache_creation_input_tokens": 9, "service_tier": "priority"},
            {"input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 7},
            Usage(10, 7, cache_write=9, service="priority"),
        ),
    ],
)
async def test_a_prompt_that_is_counted_once_is_not_lost(start, end, used):
    events = stream_of({"type": "text", "text": "Hello"})
    for each in events:
        if each["type"] == "message_start":
            each["message"]["usage"] = {**start, "output_tokens": 1}
        if each["type"] == "message_delta":
            each["usage"] = end
    heard = await answer(streamed(*named(events)), stream=True)
    assert [delta.usage for delta in heard.deltas if delta.usage] == [used]


async def test_a_client_s_own_request_and_reply_go_through_as_they_are():
    own = {**ASKED, "max_tokens": 9, "thinking": {"type": "adaptive"}}
    native = NativeRequest("messages", own, ASKED, headers={"anthropic-beta": "new-things"})
    events = stream_of({"type": "text", "text": "Hello"})
    heard = await answer(streamed(*named(events)), stream=True, native=native)
    start, _, body = heard.request.partition(b"\r\n\r\n")
    assert b"\r\nanthropic-beta: new-things\r\n" in start
    assert orjson.loads(body) == own
    assert [orjson.loads(delta.native.data) for delta in heard.deltas] == events


def failed(status, kind, message, **headers):
    error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return whole(orjson.dumps(error), status, **headers)


@pytest.mark.parametrize(
    ("script", "kind", "status", "wait"),
    [
        (failed(529, "overloaded_error", "Overloaded"), "overloaded", 503, None),
        (failed(429, "rate_limit_error", "Slow", retry_after="7"), "rate_limited", 429, 7.0),
        (failed(400, "invalid_request_error", "max_tokens: high"), "rejected", 400, None),
        (
            failed(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
            "context_length",
            400,
            None,
        ),
        (failed(413, "request_too_large", "Too large"), "rejected", 413, None),
        (failed(401, "authentication_error", f"bad {KEY}"), "auth", 502, None),
        (failed(404, "not_found_error", "model: x"), "auth", 502, None),
        (failed(500, "api_error", "Internal"), "server", 502, None),
        (whole(b"<html>", content_type="text/html"), "bad_response", 502, None),
        (whole(b'{"type":"message","content":7}'), "bad_response", 502, None),
        (whole(b'{"content":[{"type":"text","text":7}]}'), "bad_response", 502, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_is_told_for_what_it_is(script, kind, status, wait, stream):
    error = (await answer(script, stream=stream)).error
    assert (error.kind, error.status, error.retry_after) == (kind, status, wait)
    assert KEY not in str(error)


ENDED = named(stream_of({"type": "text", "text": "Hello"}))


@pytest.mark.parametrize(
    "blocks",
    [
        ENDED[:6],
        [ENDED[0], b"event: content_block_delta\ndata: {\n\n"],
        [ENDED[0], b'event: content_block_stop\ndata: {"type":"content_block_stop"}\n\n'],
        [b'event: ping\ndata: {"type":"ping"}\n\n'],
    ],
)
async def test_a_stream_that_breaks_is_an_error_and_no_success(blocks):
    assert (await answer(streamed(*blocks), stream=True)).error.kind == "bad_response"


async def test_an_overload_in_the_middle_of_a_stream_is_one():
    body = orjson.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "!"}})
    script = streamed(*ENDED[:4], b"event: error\ndata: %b\n\n" % body)
    assert (await answer(script, stream=True)).error.kind == "overloaded"


async def test_a_stream_without_its_last_event_is_whole_once_it_has_said_why_it_ends():
    heard = await answer(streamed(*ENDED[:-1]), stream=True)
    assert (heard.error, heard.text) == (None, "Hello")


@pytest.mark.parametrize("stream", [False, True])
async def test_the_simulated_provider_speaks_it_too(stream):
    async with (
        serve_simulated(Behaviour(), key=KEY) as server,
        adapter(f"{server.url}/v1", key_header="x-api-key") as one,
    ):
        heard = await ask(one, stream=stream, tier=CLAUDE, body=ASKED)
        assert heard.error is None
        assert heard.text
        spoilt = await ask(one, stream=stream, tier=CLAUDE, body={**ASKED, "simulate": "429"})
        assert spoilt.error.kind == "rate_limited"
        refused = await ask(one, tier=CLAUDE, body={**ASKED, "messages": []})
        assert refused.error.kind == "rejected"
    assert [line["stream"] for line in server.lines()[:2]] == [stream, stream]
