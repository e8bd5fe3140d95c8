"""The ledger is the upstreams' own log, with every check in play and some clients leaving."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from random import Random

from api.serving import config, house
from app.scoring import money_adds_up

REQUESTS = 120


def settings():
    """One provider that fails at times; three checks that ask it, one of them beside the draft."""
    asking = {"kind": "agreement", "timeout": "5s"}
    return config(
        upstreams__sim={
            "kind": "simulated",
            "seed": 5,
            "first_token": "2ms",
            "per_token": 0,
            "tokens": [2, 12],
            "error_rate": 0.15,
        },
        tiers__small__bar={
            "checks": ["shape", "refusal", "format", "beside", "after", "grader"],
            "accept": 0.4,
            "repair": True,
        },
        tiers__third={"upstream": "sim", "model": "o-model", "price": {"input": 3, "output": 5}},
        checks={
            "beside": asking | {"tier": "third", "concurrent": True, "samples": 2},
            "after": asking,
            "grader": {"kind": "judge", "tier": "third"},
        },
    )


async def test_every_call_is_in_both_books(tmp_path):
    random = Random(3)
    async with house(tmp_path, settings()) as it:
        upstream = it.gateway.switch.service.engine._parts.upstreams["sim"]._fleet._inner["sim"]
        while hasattr(upstream, "_real"):  # noted twice while another house is open
            upstream = upstream._real
        provider = upstream.provider

        async def one(number):
            form = {"response_format": {"type": "json_object"}} if number % 3 == 0 else {}
            twist = {"simulate": {"s-model": "bad_json"}} if number % 6 == 0 else {}
            messages = [{"role": "user", "content": f"Tell me of {number}."}]
            body = {
                "model": "waterfall",
                "messages": messages,
                "user": str(number),
                **form,
                **twist,
            }
            task = asyncio.create_task(it.post(body))
            if number % 5 == 0:
                await asyncio.sleep(random.uniform(0, 0.03))
                task.cancel()
            return await asyncio.gather(task, return_exceptions=True)

        for start in range(0, REQUESTS, 20):
            await asyncio.gather(*(one(number) for number in range(start, start + 20)))
        assert it.entries()
        assert await money_adds_up(it)
        assert it.gateway.store.state().open_calls == 0
        lines = provider.log.lines()
        with closing(sqlite3.connect(it.gateway.settings.ledger.path)) as ledger:
            ledger.row_factory = sqlite3.Row
            calls = [dict(row) for row in ledger.execute("SELECT * FROM call")]
            spent = ledger.execute("SELECT sum(cost) FROM request").fetchone()[0]
            checks = ledger.execute("SELECT sum(cost) FROM check_result").fetchone()[0]
    assert not [line for line in lines if line["outcome"] == "open"]
    assert sorted(line["model"] for line in lines) == sorted(call["model"] for call in calls)
    told = sorted(
        (line["model"], line["usage"]["prompt_tokens"], line["usage"]["completion_tokens"])
        for line in lines
        if line["outcome"] in {"complete", "bad_json"} and line["usage"]
    )
    booked = sorted(
        (call["model"], call["prompt_tokens"], call["completion_tokens"])
        for call in calls
        if call["status"] == "ok"
    )
    assert booked == told
    assert spent == sum(call["cost"] for call in calls)
    assert checks == sum(call["cost"] for call in calls if call["purpose"] == "check") > 0
    assert {call["status"] for call in calls if call["purpose"] == "check"} >= {"ok", "cancelled"}
