"""Speculation and hedging as a client and an operator see them."""

from __future__ import annotations

import pytest
from api.serving import REFUSES, SMALL, ask_for, config, house

pytestmark = pytest.mark.asyncio(loop_scope="session")

PACED = {"kind": "simulated", "first_token": "5ms", "per_token": "1ms", "tokens": [8, 12]}
GUESS = config(upstreams__sim=PACED, routes__waterfall__speculate={"band": [0, 1]})
HEDGED = config(upstreams__sim=PACED, tiers__small__hedge={"after": "10ms", "tier": "next"})
HANGS = {"stream": True, "simulate": {SMALL: "hang"}}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_guess_is_told_of_and_priced(tmp_path, stream):
    async with house(tmp_path, GUESS) as it:
        good, bad = await it.chat(stream=stream), await it.chat(stream=stream, **REFUSES)
        first, second = it.entry(good), it.entry(bad)
        metrics = it.gateway.metrics.render().decode()
    assert (good.told("tier"), good.told("escalated"), good.told("attempts")) == (
        "small",
        "false",
        "2",
    )
    assert (bad.told("tier"), bad.told("escalated"), bad.told("attempts")) == ("large", "true", "2")
    guess, served = first["attempts"]
    assert (guess["tier"], guess["left"], guess["verdict"]) == ("large", 1, "")
    assert (served["tier"], served["served"]) == ("small", 1)
    assert first["discarded_cost"] == guess["cost"] > 0
    assert first["cost"] == guess["cost"] + served["cost"]
    assert sorted(call["tier"] for call in first["calls"]) == ["large", "small"]
    assert [each["tier"] for each in second["attempts"]] == ["small", "large"]
    assert 'discarded_cost_usd_total{reason="outrun",route="waterfall"}' in metrics


async def test_the_dry_run_says_whether_it_would(tmp_path):
    async with house(tmp_path, GUESS) as it:
        told = await it.post(ask_for(), path="/v1/route")
    assert told.json["speculate_after_seconds"] == 0.0


async def test_a_session_is_not_latched_by_a_hedge(tmp_path):
    async with house(tmp_path, HEDGED) as it:
        hedged = await it.post(ask_for(**HANGS), x_waterfall_session="s")
        after = await it.post(ask_for(), x_waterfall_session="s")
        entry = it.entry(hedged)
    assert (hedged.told("tier"), hedged.told("escalated")) == ("large", "true")
    assert entry["escalations"] == [
        {"from": "small", "to": "large", "cause": "hedge", "reason": "slow"}
    ]
    assert after.told("start") == "small; score"
