"""`/v1/responses` and `/v1/completions`: the same waterfall for OpenAI's other dialects."""

from __future__ import annotations

import orjson
import pytest
from api.serving import REFUSES, config, house
from dialects.test_responses import TOOL, whole_of
from upstreams.scripted import Scripted, whole
from upstreams.test_responses import PLAIN

from gateway.upstreams.simulated import Behaviour, serve_simulated

RESPONSES, COMPLETIONS = "/v1/responses", "/v1/completions"


def asked(**fields):
    return {"model": "waterfall", "input": "Say hello.", **fields}


def completion(**fields):
    return {"model": "waterfall", "prompt": "Say hello.", "max_tokens": 64, **fields}


@pytest.fixture
async def gateway(tmp_path):
    """A gateway whose large tier speaks Anthropic's Messages."""
    async with serve_simulated(Behaviour()) as server:
        document = config(
            upstreams__far={"kind": "anthropic", "base_url": f"{server.url}/v1"},
            tiers__large__upstream="far",
        )
        async with house(tmp_path, document) as opened:
            yield opened


@pytest.mark.parametrize("tier", ["small", "large"])
async def test_a_response_is_made_by_a_tier_of_either_dialect(gateway, tier):
    plain = await gateway.post(asked(model=tier), RESPONSES)
    assert plain.status == 200
    (item,) = plain.json["output"]
    assert (plain.json["status"], item["role"]) == ("completed", "assistant")
    assert plain.told("tier") == tier
    assert gateway.entry(plain)["api"] == "responses"
    streamed = await gateway.post(asked(model=tier, stream=True), RESPONSES)
    response = whole_of(streamed.body)
    assert response["output"][0]["content"] == item["content"]
    assert response["usage"] == plain.json["usage"]
    tools = asked(model=tier, tools=[TOOL], tool_choice="required")
    called = (await gateway.post(tools, RESPONSES)).json["output"][-1]
    assert (called["type"], called["name"]) == ("function_call", "weather")
    assert isinstance(orjson.loads(called["arguments"])["place"], str)
    again = whole_of((await gateway.post({**tools, "stream": True}, RESPONSES)).body)
    given = again["output"][-1]["arguments"]
    assert orjson.loads(given) == orjson.loads(called["arguments"])


@pytest.mark.parametrize("path", [RESPONSES, COMPLETIONS])
async def test_a_draft_is_deferred_here_too(gateway, path):
    body = asked if path == RESPONSES else completion
    for stream in (False, True):
        answer = await gateway.post(body(stream=stream, **REFUSES), path)
        assert (answer.told("tier"), answer.told("escalated")) == ("large", "true")
        assert b"cannot" not in answer.body


async def test_a_completion_is_a_text(gateway):
    for tier in ("small", "large"):
        plain = await gateway.post(completion(model=tier, echo=True), COMPLETIONS)
        (choice,) = plain.json["choices"]
        assert choice["text"].startswith("Say hello.")
        assert (plain.json["object"], choice["finish_reason"]) == ("text_completion", "stop")
        assert gateway.entry(plain)["api"] == "completions"
        streamed = await gateway.post(completion(model=tier, echo=True, stream=True), COMPLETIONS)
        assert streamed.events[-1] == "[DONE]"
        chunks = [orjson.loads(data) for data in streamed.events[:-1]]
        assert all("usage" not in chunk for chunk in chunks)
        said = "".join(each["text"] for chunk in chunks for each in chunk["choices"])
        assert said == choice["text"]
    two = await gateway.post(completion(n=2, logprobs=1), COMPLETIONS)
    assert [choice["index"] for choice in two.json["choices"]] == [0, 1]
    assert two.json["choices"][0]["logprobs"]["text_offset"][0] == 0


async def test_what_needs_a_store_or_cannot_be_is_refused_by_its_name(gateway):
    for path, body, words in (
        (RESPONSES, asked(previous_response_id="resp_1"), "previous_response_id"),
        (RESPONSES, asked(background=True), "background"),
        (RESPONSES, asked(tools=[{"type": "file_search"}]), "file_search"),
        (RESPONSES, asked(input=[]), "input"),
        (COMPLETIONS, completion(suffix="x"), "suffix"),
        (COMPLETIONS, completion(prompt=["a", "b"]), "several prompts"),
    ):
        answer = await gateway.post(body, path)
        assert answer.status == 400
        assert words in answer.error["message"]
    for method in ("GET", "DELETE"):
        gone = await gateway.post(b"", f"{RESPONSES}/resp_1", method=method)
        assert (gone.status, gone.error["code"]) == (404, "response_not_found")


async def test_a_tier_that_is_asked_in_responses_may_go_on_from_what_it_keeps(tmp_path):
    async with Scripted(whole(PLAIN)) as server:
        document = config(
            upstreams__far={"base_url": server.url},
            tiers__large__upstream="far",
            tiers__large__wire="responses",
        )
        async with house(tmp_path, document) as gateway:
            asked_on = asked(previous_response_id="resp_0", tools=[{"type": "file_search"}])
            answer = await gateway.post(asked_on, RESPONSES)
            assert answer.told("start") == "large; rule"
            assert answer.body == PLAIN
            chat = await gateway.chat(model="large", seed=7)
            assert chat.text == "Hello"
            assert gateway.attempts(chat)[0]["fitted"] == "-seed"
        first, second = (orjson.loads(r.partition(b"\r\n\r\n")[2]) for r in server.requests)
        assert first == {**asked_on, "model": "l-model"}
        assert "seed" not in second


ERRORS = [
    ("429", 429, "rate_limit_error"),
    ("500", 502, "upstream_error"),
    ("503", 503, "overloaded"),
    ("400,code=context_length_exceeded", 400, "invalid_request_error"),
    ("html", 502, "upstream_error"),
    ("reset,after=0", 502, "upstream_error"),
]


@pytest.mark.parametrize("path", [RESPONSES, COMPLETIONS])
async def test_a_failure_is_told_as_in_a_chat(gateway, path):
    body = asked if path == RESPONSES else completion
    for fault, status, kind in ERRORS:
        for stream in (False, True):
            answer = await gateway.post(body(model="small", simulate=fault, stream=stream), path)
            assert (fault, answer.status, answer.error["type"]) == (fault, status, kind)
            assert (answer.header("retry-after") is not None) == (status in {429, 503})
            if "context" in fault:
                assert answer.error["code"] == "context_length_exceeded"
    broken = await gateway.post(body(model="small", simulate="cut,after=2", stream=True), path)
    assert b"stream_broken" in broken.body
    assert b"[DONE]" not in broken.body
    assert b"response.completed" not in broken.body
    for raw, status in ((b"[1]", 400), (b"{", 400)):
        assert (await gateway.post(raw, path)).status == status
    assert (await gateway.post(body(model="gpt-9"), path)).status == 404
    await gateway.post(body(model="small", simulate="hang"), path, stay=False)
    assert gateway.entries()[-1]["status"] == 499
