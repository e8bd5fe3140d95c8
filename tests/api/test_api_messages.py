"""`/v1/messages`: clients of Anthropic's dialect, answered by tiers of either."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib

import orjson
import pytest
from api.serving import config, house
from dialects.telling import heard
from upstreams.scripted import Scripted, whole

from gateway.upstreams.simulated import Behaviour, serve_simulated

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
UPSTREAM_KEY = "sk-ant-upstream"
WEATHER = {
    "name": "weather",
    "input_schema": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
    },
}
REFUSES = {"simulate": {"s-model": "refusal"}}


@contextlib.asynccontextmanager
async def both(folder, **changes):
    """A gateway whose small tier speaks the chat and whose large one Messages."""
    async with serve_simulated(Behaviour(), key=UPSTREAM_KEY) as server:
        url = f"{server.url}/v1"
        document = config(
            upstreams__far={
                "kind": "anthropic",
                "base_url": url,
                "api_key": UPSTREAM_KEY,
                "retries": "off",
                "breaker": "off",
            },
            tiers__large__upstream="far",
            **changes,
        )
        async with house(folder, document) as gateway:
            gateway.server = server
            yield gateway


def asked(**fields):
    said = [{"role": "user", "content": "Say hello."}]
    return {"model": "waterfall", "max_tokens": 64, "messages": said, **fields}


def whole_of(answer):
    """What a stream's events come to, as the SDKs put it together."""
    assert answer.header("content-type") == "text/event-stream"
    events = heard(answer.body, 10**6)
    assert all(name == event["type"] for name, event in events)
    kinds = [name for name, _ in events if name not in {"content_block_delta", "ping"}]
    count = sum(kind == "content_block_start" for kind in kinds)
    blocks = ["content_block_start", "content_block_stop"] * count
    assert kinds == ["message_start", *blocks, "message_delta", "message_stop"]
    message = dict(events[0][1]["message"])
    for _, event in events:
        if event["type"] == "content_block_start":
            message["content"].append(event["content_block"] | {"json": ""})
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], message["content"][event["index"]]
            block["text" if "text" in delta else "json"] += delta.get("text", "") or delta.get(
                "partial_json", ""
            )
        elif event["type"] == "message_delta":
            message |= event["delta"]
            message["usage"] |= event["usage"]
    for block in message["content"]:
        told = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = orjson.loads(told or "{}")
    return message


def said(message):
    assert message["type"] == "message"
    assert message["id"].startswith("msg_")
    return message["content"], message["stop_reason"], message["usage"]


@pytest.mark.parametrize("tier", ["small", "large"])
async def test_a_client_of_messages_is_answered_by_a_tier_of_either_dialect(tmp_path, tier):
    async with both(tmp_path) as gateway:
        plain = await gateway.post(asked(model=tier), MESSAGES)
        streamed = await gateway.post(asked(model=tier, stream=True), MESSAGES)
        assert (plain.status, streamed.status) == (200, 200)
        content, stop, usage = said(plain.json)
        assert content[0]["text"]
        assert (stop, len(content)) == ("end_turn", 1)
        assert usage["output_tokens"] > 0
        assert said(whole_of(streamed)) == (content, stop, usage)
        for answer in (plain, streamed):
            assert answer.told("tier") == tier
            assert answer.header("request-id") == answer.header("x-request-id")
            entry = gateway.entry(answer)
            assert (entry["api"], entry["status"]) == ("messages", 200)
        tools = asked(model=tier, tools=[WEATHER], tool_choice={"type": "any"})
        called = await gateway.post(tools, MESSAGES)
        content, stop, _ = said(called.json)
        assert (content[-1]["name"], stop) == ("weather", "tool_use")
        assert isinstance(content[-1]["input"]["place"], str)
        again = said(whole_of(await gateway.post({**tools, "stream": True}, MESSAGES)))
        assert [block["input"] for block in again[0]] == [content[-1]["input"]]


async def test_a_chat_s_client_is_answered_by_a_tier_of_messages(tmp_path):
    async with both(tmp_path) as gateway:
        plain = await gateway.chat(model="large", seed=7)
        streamed = await gateway.chat(model="large", stream=True)
        assert plain.text
        assert streamed.text == plain.text
        assert streamed.events[-1] == "[DONE]"
        chunks = [orjson.loads(data) for data in streamed.events[:-1]]
        assert all(chunk["choices"] and "usage" not in chunk for chunk in chunks)
        counted = await gateway.chat(
            model="large", stream=True, stream_options={"include_usage": True}
        )
        last = orjson.loads(counted.events[-2])
        assert (last["choices"], last["usage"]) == ([], plain.json["usage"])
        (attempt,) = gateway.attempts(plain)
        assert attempt["fitted"] == "-seed"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_draft_is_deferred_from_one_dialect_to_the_other(tmp_path, stream):
    async with both(tmp_path) as gateway:
        answer = await gateway.post(asked(stream=stream, top_k=4, **REFUSES), MESSAGES)
        assert (answer.told("tier"), answer.told("escalated")) == ("large", "true")
        alone = await gateway.post(asked(model="large"), MESSAGES)
        message = whole_of(answer) if stream else answer.json
        assert message["content"] == alone.json["content"]
        small, large = gateway.attempts(answer)
        assert (small["fitted"], large["fitted"]) == ("-top_k", "")


async def test_what_an_anthropic_tier_is_asked_is_what_its_client_asked(tmp_path):
    body = asked(
        model="large",
        system=[{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}],
        thinking={"type": "adaptive"},
        odd=[1, None],
    )
    reply = {
        "id": "msg_9",
        "type": "message",
        "role": "assistant",
        "model": "theirs",
        "content": [{"type": "novel", "odd": 1}, {"type": "text", "text": "Hi"}],
        "stop_reason": "pause_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 4, "odd": 5},
    }
    async with Scripted(whole(orjson.dumps(reply))) as server:
        document = config(
            upstreams__far={"kind": "anthropic", "base_url": server.url, "api_key": "k"},
            tiers__large__upstream="far",
        )
        async with house(tmp_path, document) as gateway:
            answer = await gateway.post(body, MESSAGES, anthropic_beta="new-things")
    start, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert b"\r\nanthropic-beta: new-things\r\n" in start
    assert orjson.loads(sent) == {**body, "model": "l-model"}
    assert answer.json == reply


async def test_what_only_messages_can_say_skips_the_tier_that_cannot(tmp_path):
    search = asked(tools=[{"type": "web_search_20250305", "name": "web_search"}])
    async with both(tmp_path) as gateway:
        answer = await gateway.post(search, MESSAGES)
        assert (answer.status, answer.told("start")) == (200, "large; rule")
        refused = await gateway.post({**search, "model": "small"}, MESSAGES)
        assert refused.status == 400
        assert refused.json["error"]["code"] == "unsupported_by_dialect"
        choices = await gateway.chat(n=2)
        assert choices.told("tier") == "small"
        refused = await gateway.chat(n=2, model="large")
        assert (refused.status, refused.error["param"]) == (400, "n")


ERRORS = [
    ("429", 429, "rate_limit_error"),
    ("500", 502, "api_error"),
    ("503", 503, "overloaded_error"),
    ("400,code=context_length_exceeded", 400, "invalid_request_error"),
    ("html", 502, "api_error"),
    ("empty", 502, "api_error"),
    ("reset,after=0", 502, "api_error"),
]


@pytest.mark.parametrize("tier", ["small", "large"])
async def test_a_failure_is_told_in_the_dialect_s_shape(tmp_path, tier):
    async with both(tmp_path) as gateway:
        for fault, status, kind in ERRORS:
            for stream in (False, True):
                body = asked(model=tier, simulate=fault, stream=stream)
                answer = await gateway.post(body, MESSAGES)
                told = answer.json
                assert (fault, answer.status) == (fault, status)
                assert set(told) == {"type", "error", "request_id"}
                assert (told["type"], told["error"]["type"]) == ("error", kind)
                assert answer.header("request-id") == told["request_id"]
                assert (answer.header("retry-after") is not None) == (status in {429, 503})
        broken = await gateway.post(
            asked(model=tier, simulate="cut,after=2", stream=True), MESSAGES
        )
        *_, (name, event) = heard(broken.body, 10**6)
        assert (name, event["type"], event["error"]["code"]) == ("error", "error", "stream_broken")
        assert b"message_stop" not in broken.body


async def test_what_no_gateway_could_serve_is_refused_in_the_dialect_s_shape(tmp_path):
    async with both(tmp_path) as gateway:
        for body, status, kind in (
            (asked(model="gpt-9"), 404, "not_found_error"),
            ([1], 400, "invalid_request_error"),
            (b"{", 400, "invalid_request_error"),
            (asked(messages=[]), 400, "invalid_request_error"),
            (asked(max_tokens=0), 400, "invalid_request_error"),
            ({"model": "small", "messages": []}, 400, "invalid_request_error"),
        ):
            answer = await gateway.post(body, MESSAGES)
            assert (answer.status, answer.json["error"]["type"]) == (status, kind)
        bad = await gateway.post(asked(), MESSAGES, anthropic_beta="x" * 3000)
        assert (bad.status, bad.json["error"]["param"]) == (400, "anthropic-beta")


async def test_an_upstream_is_left_when_its_client_leaves(tmp_path):
    async with both(tmp_path) as gateway:
        for stream in (False, True):
            body = asked(model="large", simulate="hang", stream=stream)
            await gateway.post(body, MESSAGES, stay=False)
        entries = gateway.entries()
        async with asyncio.timeout(5):
            while gateway.server.open_connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert [entry["status"] for entry in entries] == [499, 499]


async def test_a_key_may_come_as_anthropic_s_sdks_send_it(tmp_path):
    key = {"name": "a", "hash": f"sha256:{hashlib.sha256(b'sk-mine').hexdigest()}"}
    async with both(tmp_path, keys=[key]) as gateway:
        assert (await gateway.post(asked(), MESSAGES, x_api_key="sk-mine")).status == 200
        for headers in ({"x_api_key": "sk-other"}, {"x_api_key": ""}, {}):
            refused = await gateway.post(asked(), MESSAGES, **headers)
            assert (refused.status, refused.json["error"]["type"]) == (401, "authentication_error")
        assert (await gateway.post(asked(), COUNT)).status == 401


async def test_tokens_are_counted_by_the_tier_that_would_be_asked_or_estimated(tmp_path):
    counted = whole(b'{"input_tokens":4711}')
    async with Scripted(counted) as server:
        document = config(
            upstreams__far={"kind": "anthropic", "base_url": server.url, "api_key": "k"},
            tiers__large__upstream="far",
        )
        body = {name: value for name, value in asked(odd=1).items() if name != "max_tokens"}
        async with house(tmp_path, document) as gateway:
            by_tier = await gateway.post({**body, "model": "large"}, COUNT)
            guessed = await gateway.post({**body, "model": "small"}, COUNT)
            refused = await gateway.post({**body, "model": "gpt-9"}, COUNT)
            entries = gateway.entries()
    assert (by_tier.json, by_tier.told("estimated")) == ({"input_tokens": 4711}, None)
    start, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert start.startswith(b"POST /v1/messages/count_tokens ")
    assert orjson.loads(sent) == {**body, "model": "l-model"}
    assert (guessed.json["input_tokens"] > 0, guessed.told("estimated")) == (True, "true")
    assert (refused.status, refused.json["error"]["type"]) == (404, "not_found_error")
    assert entries == []


async def test_an_estimate_stands_in_where_an_upstream_cannot_count(tmp_path):
    for reply in (whole(b"{}"), whole(b"<html>", 503)):
        async with Scripted(reply) as server:
            document = config(
                upstreams__far={"kind": "anthropic", "base_url": server.url},
                tiers__large__upstream="far",
            )
            async with house(tmp_path, document) as gateway:
                answer = await gateway.post(asked(model="large"), COUNT)
                assert (answer.status, answer.told("estimated")) == (200, "true")
