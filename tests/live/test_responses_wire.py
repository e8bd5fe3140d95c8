"""Tiers that are asked in Responses and in Messages of a server that nobody here wrote."""

from __future__ import annotations

import json

import httpx
import pytest
from api.serving import config
from app.serving import Process
from live.test_openai_sdk import llama

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
SAY = [{"role": "user", "content": "What is the capital of France?"}]
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": PLACE}}
TIERS = ("small", "large")


def said(stream):
    data = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
    assert data.pop() == "[DONE]"
    chunks = [json.loads(each) for each in data]
    parts = [choice["delta"].get("content") for each in chunks for choice in each["choices"]]
    return "".join(part for part in parts if part)


async def test_a_chat_is_answered_by_a_server_that_nobody_here_wrote(tmp_path):
    async with llama() as (upstreams, (small, large)):
        document = config(upstreams=upstreams | {"m": {**upstreams[large], "kind": "anthropic"}})
        document["tiers"]["small"] |= {"upstream": small, "wire": "responses"}
        document["tiers"]["large"]["upstream"] = "m"
        async with (
            Process(tmp_path, document) as gateway,
            httpx.AsyncClient(timeout=120) as client,
        ):
            await gateway.ready()
            url = f"{gateway.url}/v1/chat/completions"
            for tier in TIERS:
                body = {"model": tier, "messages": SAY, "max_tokens": 64, "temperature": 0}
                plain = (await client.post(url, json=body)).json()
                message = plain["choices"][0]["message"]
                assert message["content"]
                assert plain["usage"]["completion_tokens"] > 0
                streamed = await client.post(url, json={**body, "stream": True})
                assert said(streamed.text) == message["content"]
                tools = {**body, "tools": [WEATHER], "tool_choice": "required"}
                called = (await client.post(url, json=tools)).json()["choices"][0]
                (call,) = called["message"]["tool_calls"]
                assert isinstance(json.loads(call["function"]["arguments"])["place"], str)
                assert called["finish_reason"] == "tool_calls"
                refused = await client.post(url, json={**body, "n": 2})
                assert refused.status_code == 400
            own = {"model": "small", "input": "What is the capital of France?", "temperature": 0}
            answer = (await client.post(f"{gateway.url}/v1/responses", json=own)).json()
            assert answer["output"][-1]["content"][0]["text"]
            gateway.signal()
            assert await gateway.ended() == 0
        assert "Traceback" not in gateway.stderr
