"""The whole over real HTTP: no word of a deferred draft reaches a client, and who wrote it stops.

The simulated provider's own log is the witness of which calls were left in their middle. Larger
floods, and the ledger against that log, are in loadtests.
"""

from __future__ import annotations

import asyncio

import httpx
import orjson
import pytest
from api.serving import CHAT, LIMIT, SMALL, ask_for, config
from app.serving import listening, until

from gateway.upstreams.simulated import Behaviour, Model, Pace, serve_simulated

MANY = 80
PACED = Behaviour(default=Model(pace=Pace(per_token=0.002)))


def document(url, **changes):
    return config(upstreams={"sim": {"base_url": f"{url}/v1"}}, **changes)


async def in_parallel(work, count, at_once=16):
    numbers = iter(range(count))

    async def worker():
        return [await work(number) for number in numbers]

    done = await asyncio.gather(*(worker() for _ in range(at_once)))
    return [result for results in done for result in results]


async def said(client, body):
    """A stream's text, its data's lines and its headers."""
    text = ""
    async with client.stream("POST", CHAT, json=body) as answer:
        assert answer.status_code == 200
        lines = [line async for line in answer.aiter_lines()]
    data = [line[6:] for line in lines if line.startswith("data: ")]
    for each in data:
        if each != "[DONE]":
            text += orjson.loads(each)["choices"][0]["delta"].get("content") or ""
    return text, data, answer.headers


@pytest.mark.parametrize("hold", ["reply", {"tokens": 10}])
async def test_no_word_of_a_deferred_draft_is_seen_and_its_upstream_is_closed(tmp_path, hold):
    async with serve_simulated(PACED) as server:
        served_as = document(server.url, tiers__small__hold=hold)
        async with (
            listening(tmp_path, served_as) as served,
            httpx.AsyncClient(
                base_url=served.base_url.removesuffix("/v1"), timeout=LIMIT
            ) as client,
        ):
            expected = {}
            for tier in ("small", "large"):
                expected[tier] = (await said(client, ask_for(tier, stream=True)))[0]

            async def ask(number):
                fault = {"simulate": {SMALL: "refusal"}} if number % 2 else {}
                text, data, headers = await said(client, ask_for(stream=True, **fault))
                tier = "large" if number % 2 else "small"
                assert headers["x-waterfall-tier"] == tier, headers
                assert text == expected[tier]
                assert data.count("[DONE]") == 1
                assert data[-1] == "[DONE]"
                assert ("sorry" in text) == ("sorry" in expected[tier])

            await in_parallel(ask, MANY)
            await until(lambda: all(line["outcome"] != "open" for line in server.lines()))
            lines = [line for line in server.lines() if line["fault"] == "refusal"]
    assert len(lines) == MANY // 2
    if hold != "reply":
        # A draft that was left in its middle is closed then, not generated to its end.
        assert {line["outcome"] for line in lines} == {"closed_by_peer"}
        assert max(line["tokens"] for line in lines) < 16, "of 16 that it would have said"
    else:
        assert {line["outcome"] for line in lines} == {"refusal"}
