"""Streams over ASGI: what is released, how they end, and what passes through untouched."""

from __future__ import annotations

import json

import orjson
import pytest
from api.serving import LARGE, REFUSES, SMALL, ask_for, config, house

pytestmark = pytest.mark.asyncio(loop_scope="session")

SLOW = config(upstreams__sim={"kind": "simulated", "first_token": 0, "per_token": "1ms"})


async def test_a_stream_is_chunks_and_one_done(it):
    answer = await it.chat(stream=True)
    assert answer.header("content-type") == "text/event-stream"
    assert answer.header("cache-control") == "no-cache"
    assert answer.events.count("[DONE]") == 1
    assert answer.events[-1] == "[DONE]"
    chunks = [json.loads(data) for data in answer.events[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len(chunks) > 3
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert answer.whole


@pytest.mark.parametrize("twist", [None, "refusal"])
async def test_plain_and_streamed_say_and_cost_the_same(tmp_path, twist):
    body = {} if twist is None else {"simulate": {SMALL: twist}}
    async with house(tmp_path) as it:
        plain, streamed = await it.chat(**body), await it.chat(stream=True, **body)
        first, second = it.entries()
    assert plain.text == streamed.text
    for column in ("cost", "baseline_cost", "discarded_cost", "prompt_tokens", "tier", "reason"):
        assert first[column] == second[column], column


@pytest.mark.parametrize(
    ("given", "expected"), [({}, False), ({"include_usage": True}, True), ({"x": 1}, False)]
)
async def test_usage_reaches_only_who_asked_for_it(tmp_path, given, expected):
    async with house(tmp_path) as it:
        answer = await it.chat(stream=True, stream_options=given)
        entry = it.entry(answer)
        assert it.sent[0]["stream_options"] == {**given, "include_usage": True}
    assert (b'"usage"' in answer.body) == expected
    assert entry["prompt_tokens"] > 0
    assert not entry["estimated"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asked", [False, True])
async def test_logprobs_that_a_bar_needs_reach_only_who_asked(tmp_path, stream, asked):
    bar = {"accept": 0.0, "checks": ["shape", "logprob"]}
    fields = {"logprobs": True} if asked else {}
    async with house(tmp_path, tiers__small__bar=bar) as it:
        answer = await it.chat(stream=stream, **fields)
        checks = {each["check"] for each in it.entry(answer)["attempts"][0]["checks"]}
        assert it.sent[0]["logprobs"] is True
    assert answer.status == 200
    assert checks == {"shape", "logprob"}
    assert (b'"logprob"' in answer.body) == asked


FAULTS = ["cut,after=3", "error_event,after=3", "malformed,after=3", "reset,after=3"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_stream_that_breaks_after_release_ends_with_an_error_and_no_done(tmp_path, fault):
    async with house(tmp_path, SLOW) as it:
        answer = await it.chat(model="small", stream=True, simulate=fault)
        entry = it.entry(answer)
    assert answer.status == 200
    assert answer.whole
    assert b"[DONE]" not in answer.body
    last = answer.body.split(b"\n\n")[-2]
    assert last.startswith(b"event: error\ndata: {")
    error = orjson.loads(last.partition(b"data: ")[2])["error"]
    assert error["type"] == "upstream_error"
    assert error["code"] == "stream_broken"
    assert (entry["status"], entry["outcome"]) == (502, "upstream_error")
    assert entry["completion_tokens"] >= 3, "what was delivered is paid for"


@pytest.mark.parametrize("fault", [*FAULTS, "500", "stall,after=2", "html", "no_choices", "null"])
async def test_a_held_stream_that_breaks_goes_on_at_the_next_tier(tmp_path, fault):
    limits = {"timeouts": {"silence": "50ms"}}
    sim = {"kind": "simulated", "first_token": 0, "per_token": 0, **limits}
    async with house(tmp_path, upstreams__sim=sim) as it:
        answer = await it.chat(stream=True, simulate={SMALL: fault})
        alone = await it.chat(model="large", stream=True)
    assert answer.status == 200
    assert answer.told("tier") == "large"
    assert answer.text == alone.text, "not a word of the broken draft"
    assert answer.events.count("[DONE]") == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("500", 502, "upstream_error"),
        ("401", 502, "upstream_error"),
        ("403", 502, "upstream_error"),
        ("404,code=model_not_found", 502, "upstream_error"),
        ("429,retry_after=7", 429, "rate_limit_error"),
        ("503,retry_after=3", 503, "overloaded"),
        ("529", 503, "overloaded"),
        ("504", None, None),
        ("html", 502, "upstream_error"),
        ("empty", 502, "upstream_error"),
        ("redirect", 502, "upstream_error"),
        ("gzip", 502, "upstream_error"),
        ("big_head,size=1", 502, "upstream_error"),
        ("refuse", 502, "upstream_error"),
    ],
)
async def test_when_every_tier_fails(it, stream, fault, status, kind):
    answer = await it.chat(stream=stream, simulate=fault)
    assert it.entry(answer)["status"] == answer.status
    assert answer.status == status if status else answer.status in {502, 504}
    assert kind in {None, answer.error["type"]}
    assert [each["tier"] for each in answer.error["attempts"]] == ["small", "large"]
    waits = {"429,retry_after=7": "7", "503,retry_after=3": "3", "529": "1"}
    assert answer.header("retry-after") == waits.get(fault)


async def test_the_smallest_wait_of_all_tiers_is_told(it):
    waits = {SMALL: "429,retry_after=9", LARGE: "429,retry_after=4"}
    answer = await it.chat(simulate=waits)
    mixed = await it.chat(simulate={SMALL: "429,retry_after=9", LARGE: "500"})
    assert (answer.status, answer.header("retry-after")) == (429, "4")
    assert mixed.status == 502


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_upstream_s_own_client_error_passes_through(it, stream, status):
    answer = await it.chat(stream=stream, simulate=f"{status},code=odd_value")
    assert len(it.sent) in {1, 2}, "at most once more without our additions"
    assert {body["model"] for body in it.sent} == {SMALL}
    assert answer.status == status
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["code"] == "odd_value"


@pytest.mark.parametrize("stream", [False, True])
async def test_fields_that_nobody_knows_reach_the_upstream_untouched(it, stream):
    odd = {
        "x-new": {"deep": [1, 2.5, None, True, "ünï"]},
        "reasoning_effort": "low",
        "metadata": {"a": "b"},
        "seed": 7,
        "": 1,
        "temperature": 0.25,
        "stop": ["\n"],
        "user": "u",
        "null": None,
    }
    answer = await it.chat(stream=stream, **odd, **REFUSES)
    sent = it.sent
    assert answer.status == 200
    assert [body["model"] for body in sent] == [SMALL, LARGE]
    messages = [{"role": "user", "content": "Say hello."}]
    for body in sent:
        assert {name: body[name] for name in odd} == odd
        assert body["messages"] == messages


async def test_nothing_in_a_body_chooses_an_upstream_or_is_fetched(it):
    canary = "http://127.0.0.1:9/v1"
    tricks = {
        "api_base": canary,
        "base_url": canary,
        "user_config": {"model_list": [{"api_base": canary}]},
        "fallbacks": [canary],
        "extra_headers": {"x": "y"},
        "mock_response": "tricked",
    }
    picture = {"type": "image_url", "image_url": {"url": canary}}
    asked = {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, picture]}]}
    answer = await it.post(
        {**ask_for(), **asked, **tricks},
        x_portkey_custom_host=canary,
        x_waterfall_upstream=canary,
    )
    assert answer.status == 200
    assert "tricked" not in answer.text


async def test_words_of_a_reply_cannot_make_a_frame(tmp_path):
    evil = 'a\n\ndata: [DONE]\n\nevent: error\rdata: {"x": 1}\u2028'
    (tmp_path / "key.json").write_text(json.dumps({"inject": evil}))
    sim = {"kind": "simulated", "first_token": 0, "per_token": 0, "answers": "key.json"}
    body = ask_for(stream=True)
    body["messages"][0]["content"] = "inject"
    async with house(tmp_path, upstreams__sim=sim) as it:
        answer = await it.post(body)
    assert answer.body.count(b"data: [DONE]\n\n") == 1
    assert answer.text == evil
