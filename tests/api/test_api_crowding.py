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


USER = {"role": "user"}
PART = {"type": "text", "text": "a"}
CAPS = {
    "messages": {"messages": [{**USER, "content": "a"}] * 3},
    "parts": {"messages": [{**USER, "content": [PART]}, {**USER, "content": [PART, PART]}]},
    "tools": {"tools": [{"type": "function", "function": {"name": "f"}}] * 3},
    "n": {"n": 3},
    "max_tokens": {"max_tokens": 3},
    "stop": {"stop": ["a", "b", "c"]},
    "logit_bias": {"logit_bias": {"1": 1, "2": 1, "3": 1}},
    "top_logprobs": {"logprobs": True, "top_logprobs": 3},
}


NAMED = {"parts": "messages"}
"""Caps that bound a field of another name."""


@pytest.mark.parametrize("cap", CAPS)
async def test_each_cap_is_kept_before_anything_is_spent(tmp_path, cap):
    document = config()
    document["server"]["caps"] = {cap: 2}
    async with house(tmp_path, document) as it:
        refused = await it.post(ask_for(**CAPS[cap]))
        assert (refused.status, refused.error["param"]) == (400, NAMED.get(cap, cap))
        assert it.sent == []
        document["server"]["caps"] = {cap: 3}
        it.write(document)
    async with house(tmp_path, document) as it:
        assert (await it.post(ask_for(**CAPS[cap]))).status == 200


TOLD = {
    "/v1/chat/completions": [
        ({"messages": [{**USER, "content": [PART] * 50_000}]}, "messages", "parts"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}] * 4}]},
            "messages",
            "parts",
        ),
        ({"messages": [{**USER, "content": "a"}], "best_of": 3}, "best_of", "from 1 to 2"),
        ({"messages": [{**USER, "content": "a"}], "best_of": "3"}, "best_of", "from 1 to 2"),
        (
            {"messages": [{**USER, "content": "a"}], "prompt_logprobs": 21},
            "prompt_logprobs",
            "from 0 to 20",
        ),
        (
            {"messages": [{**USER, "content": "a"}], "prompt_logprobs": -1},
            "prompt_logprobs",
            "from 0 to 20",
        ),
        *(
            ({"messages": [{**USER, "content": "a"}], field: value}, field, limit)
            for field, value, limit in (
                ("functions", [{"name": "f"}] * 4, "3 entries"),
                ("min_tokens", 10**12, "at most 10000000"),
                ("num_beams", 3, "at most 2"),
                ("beam_width", 1e9, "at most 2"),
                ("stop_token_ids", [1] * 65, "64 entries"),
                ("bad_words", ["a"] * 10_001, "10000 entries"),
                ("allowed_token_ids", [1] * 10_001, "10000 entries"),
                ("guided_choice", ["a"] * 10_001, "10000 entries"),
            )
        ),
        (
            {
                "messages": [{**USER, "content": "a"}],
                "tools": [{"type": "function", "function": {"name": "f"}}] * 2,
                "functions": [{"name": "f"}] * 2,
            },
            "functions",
            "3 entries, with those of tools",
        ),
    ],
    "/v1/messages": [
        ({"messages": [{**USER, "content": [PART] * 4}]}, "messages", "parts"),
        ({"messages": [{**USER, "content": "a"}], "system": [PART] * 4}, "system", "parts"),
        ({"messages": [{**USER, "content": "a"}] * 5}, "messages", "messages"),
        (
            {"messages": [{**USER, "content": [{"type": "tool_result", "content": [PART] * 3}]}]},
            "messages",
            "parts",
        ),
    ],
    "/v1/responses": [
        ({"input": [{**USER, "content": "a"}] * 4}, "input", "parts"),
        ({"input": [{**USER, "content": [PART] * 3}]}, "input", "parts"),
    ],
}


async def test_multipliers_are_refused_before_anything_walks_through_them(tmp_path):
    """In every dialect, by the name of the field and of the limit; and what is just within passes,
    whatever a chat has under a name that only another dialect knows."""
    document = config(server__caps={"parts": 3, "messages": 4, "n": 2, "tools": 3})
    async with house(tmp_path, document) as it:
        for path, wrong in TOLD.items():
            for body, param, limit in wrong:
                refused = await it.post({"model": "waterfall", "max_tokens": 20, **body}, path)
                error = refused.json["error"]
                assert (refused.status, error["param"]) == (400, param), path
                assert limit in error["message"]
        assert it.sent == []
        parts = [{**USER, "content": [PART, PART]}, {**USER, "content": [PART]}]
        assert (await it.post(ask_for(messages=parts, best_of=2, input=[1] * 9))).status == 200
        others = {"num_beams": 2, "bad_words": "any", "min_tokens": 0, "functions": [{"name": "f"}]}
        assert (await it.post(ask_for(**others))).status == 200
        turns = {"model": "waterfall", "max_tokens": 20, "messages": parts[:1], "system": [PART]}
        assert (await it.post(turns, "/v1/messages")).status == 200
