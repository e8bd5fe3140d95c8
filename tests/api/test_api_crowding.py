"""Requests that are one too many, and those that ask for too much of one thing."""

from __future__ import annotations

import asyncio

import pytest
from api.serving import ask_for, config, house
from app.serving import until

SLOWLY = {"kind": "simulated", "first_token": "200ms", "per_token": 0, "tokens": [8, 12]}


def crowded(**server):
    document = config(upstreams__sim=SLOWLY)
    document["server"].update(server)
    return document


async def test_one_too_many_is_told_so_at_once_and_who_is_inside_is_served(tmp_path):
    async with house(tmp_path, crowded(max_in_flight=2)) as it:
        inside = [asyncio.create_task(it.chat()) for _ in range(2)]
        await until(lambda: it.gateway.switch.room.requests == 2)
        refused = await it.chat()
        assert (refused.status, refused.error["type"]) == (503, "overloaded")
        assert refused.error["code"] == "too_many_requests_under_way"
        assert refused.header("retry-after") == "1"
        assert [(await task).status for task in inside] == [200, 200]
        assert (await it.chat()).status == 200
        page = (await it.get("/metrics")).body.decode()
    assert 'waterfall_requests_shed_total{reason="requests"} 1.0' in page
    assert it.gateway.switch.room.requests == it.gateway.switch.room.bytes == 0


async def test_bytes_under_way_are_bounded_too(tmp_path):
    long = [{"role": "user", "content": "x" * 3000}]
    async with house(tmp_path, crowded(max_in_flight_bytes="5KB")) as it:
        inside = asyncio.create_task(it.chat(messages=long))
        await until(lambda: it.gateway.switch.room.bytes > 3000)
        refused = await it.chat(messages=long)
        assert (refused.status, refused.error["code"]) == (503, "too_many_bytes_under_way")
        assert (await it.chat()).status == 200, "a small one finds room"
        assert (await inside).status == 200
        assert (await it.chat(messages=long)).status == 200


CAPS = {
    "messages": {"messages": [{"role": "user", "content": "a"}] * 3},
    "tools": {"tools": [{"type": "function", "function": {"name": "f"}}] * 3},
    "n": {"n": 3},
    "max_tokens": {"max_tokens": 3},
    "stop": {"stop": ["a", "b", "c"]},
    "logit_bias": {"logit_bias": {"1": 1, "2": 1, "3": 1}},
    "top_logprobs": {"logprobs": True, "top_logprobs": 3},
}


@pytest.mark.parametrize("cap", CAPS)
async def test_each_cap_is_kept_before_anything_is_spent(tmp_path, cap):
    document = config()
    document["server"]["caps"] = {cap: 2}
    async with house(tmp_path, document) as it:
        refused = await it.post(ask_for(**CAPS[cap]))
        assert (refused.status, refused.error["param"]) == (400, cap)
        assert it.sent == []
        document["server"]["caps"] = {cap: 3}
        it.write(document)
    async with house(tmp_path, document) as it:
        assert (await it.post(ask_for(**CAPS[cap]))).status == 200
