"""Observe: the baseline is served; what the policy would have done is recorded, and on a share of
the traffic asked for in the shadow, which no client ever waits for."""

from __future__ import annotations

import asyncio

import pytest
from api.serving import LARGE, REFUSES, SMALL, ask_for, house

from gateway.store import read

OBSERVE = {"routes__waterfall__mode": "observe"}
SHADOW = {**OBSERVE, "routes__waterfall__shadow": 1.0}


async def settled(it):
    """Wait until no shadow is under way."""
    async with asyncio.timeout(10):
        await it.gateway.switch.service.in_flight.idle()


def shadows(entry):
    return [each for each in entry["attempts"] if each["shadow"]]


async def figure(it, name):
    page = (await it.get("/metrics")).body.decode()
    found = [line for line in page.splitlines() if line.startswith(name)]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in found}


async def test_observe_serves_the_baseline_and_records_what_would_have_been(tmp_path):
    async with house(tmp_path, **OBSERVE) as it:
        plain, hard = await it.chat(), await it.post(ask_for(), x_waterfall_threshold="0")
        poor = await it.post(ask_for(), x_waterfall_session="s")
        entries = [it.entry(each) for each in (plain, hard, poor)]
        assert [body["model"] for body in it.sent] == [LARGE] * 3
    assert [each.told("start") for each in (plain, hard)] == ["large; mode"] * 2
    told = [(each["policy_start"], each["policy_reason"]) for each in entries]
    assert told == [("small", "score"), ("large", "score"), ("small", "score")]
    assert [each["difficulty"] is not None for each in entries] == [True] * 3


async def test_what_the_policy_would_turn_away_is_served_all_the_same(tmp_path):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    blind = {"tiers__small__images": False, "tiers__large__images": False}
    async with house(tmp_path, **SHADOW, **blind) as it:
        answer = await it.chat(messages=[{"role": "user", "content": [picture]}])
        entry = it.entry(answer)
    assert answer.status == 200
    assert (entry["policy_start"], entry["policy_reason"]) == ("none", "refused")
    assert shadows(entry) == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("body", "verdict", "result"),
    [
        ({}, "accept", "accept"),
        (REFUSES, "defer", "defer"),
        ({"simulate": {SMALL: "500"}}, "", "failed"),
    ],
)
async def test_a_shadow_is_judged_priced_and_kept_apart(tmp_path, stream, body, verdict, result):
    async with house(tmp_path, **SHADOW) as it:
        answer = await it.chat(stream=stream, **body)
        await settled(it)
        entry = it.entry(answer)
        counted = await figure(it, "waterfall_shadows_total")
        spent = await figure(it, "waterfall_cost_usd_total")
        assert [sent["model"] for sent in it.sent] == [LARGE, SMALL]
        assert "stream" not in it.sent[1]
    assert answer.told("tier") == entry["tier"] == "large"
    (one,) = shadows(entry)
    assert (one["tier"], one["verdict"], one["served"]) == ("small", verdict, 0)
    assert bool(one["checks"]) == (result != "failed")
    (call,) = [each for each in entry["calls"] if each["purpose"] == "shadow"]
    assert call["cost"] == one["cost"] == entry["shadow_cost"]
    assert (call["cost"] > 0) == (result != "failed")
    assert entry["cost"] == entry["attempts"][0]["cost"], "the request's own cost is without it"
    assert counted[f'waterfall_shadows_total{{result="{result}",route="waterfall"}}'] == 1
    key = f'kind="shadow",model="{SMALL}",route="waterfall",tier="small"'
    assert spent[f"waterfall_cost_usd_total{{{key}}}"] == call["cost"] / 1e9


async def test_nobody_is_asked_where_there_is_nothing_to_learn(tmp_path):
    async with house(tmp_path, **SHADOW) as it:
        hard = await it.post(ask_for(), x_waterfall_threshold="0")
        off = await it.post(ask_for(), x_waterfall_mode="off")
        enforced = await it.post(ask_for(), x_waterfall_mode="enforce")
        failed = await it.chat(simulate={LARGE: "500"})
        await settled(it)
        entries = [it.entry(each) for each in (hard, off, enforced, failed)]
    assert [shadows(each) for each in entries] == [[]] * 4


async def test_its_share_is_a_share_by_the_entry_s_own_id(tmp_path):
    share = {**OBSERVE, "routes__waterfall__shadow": "30%"}
    async with house(tmp_path, **share) as it:
        answers = []
        for _ in range(120):
            answers.append(await it.chat())
            await settled(it)
        asked = sum(bool(shadows(it.entry(each))) for each in answers)
    assert 15 <= asked <= 60


async def test_a_share_that_is_enforced_is_not_asked_in_the_shadow(tmp_path):
    mode = {"routes__waterfall__mode": {"enforce": 0.5}, "routes__waterfall__shadow": 1}
    async with house(tmp_path, **mode) as it:
        answers = [
            await it.post(ask_for(), x_waterfall_session=f"s{number}") for number in range(20)
        ]
        await settled(it)
        entries = [it.entry(each) for each in answers]
    for entry in entries:
        assert bool(shadows(entry)) == (entry["mode"] == "observe")
    assert len({entry["mode"] for entry in entries}) == 2


async def test_a_slow_shadow_delays_nobody_and_at_most_eight_are_under_way(tmp_path):
    async with house(tmp_path, **SHADOW) as it:
        slow = {"simulate": {SMALL: "hang"}}
        async with asyncio.timeout(10):
            answers = [await it.chat(**slow) for _ in range(11)]
        assert {each.status for each in answers} == {200}
        counted = await figure(it, "waterfall_shadows_total")
        assert counted['waterfall_shadows_total{result="skipped",route="waterfall"}'] == 3
        async with asyncio.timeout(10):
            await it.gateway.switch.service.shadow_calls.close(0.0)
        await settled(it)
        entries = [it.entry(each) for each in answers]
    cut = [each for entry in entries for each in entry["calls"] if each["purpose"] == "shadow"]
    assert [each["status"] for each in cut] == ["cancelled"] * 8
    assert all(each["cost"] > 0 for each in cut), "what was spent is booked, estimated"
    assert all(entry["status"] == 200 for entry in entries)


async def test_a_reload_lets_a_shadow_finish(tmp_path):
    late = {"kind": "simulated", "first_token": "150ms", "per_token": 0, "tokens": [8, 12]}
    async with house(tmp_path, **SHADOW, upstreams__late=late, tiers__small__upstream="late") as it:
        answer = await it.chat()
        old = it.gateway.switch.service
        assert await it.gateway.reload()
        async with asyncio.timeout(10):
            await old.in_flight.idle()
        (one,) = shadows(it.entry(answer))
    assert one["verdict"] == "accept"


async def test_a_close_waits_for_it_and_keeps_it(tmp_path):
    late = {"kind": "simulated", "first_token": "100ms", "per_token": 0, "tokens": [8, 12]}
    async with house(tmp_path, **SHADOW, upstreams__late=late, tiers__small__upstream="late") as it:
        answer = await it.chat()
        ledger = it.gateway.settings.ledger.path
    kept = read.request(ledger, answer.header("x-request-id"))
    (one,) = shadows(kept)
    assert (one["verdict"], kept["shadow_cost"]) == ("accept", one["cost"])


async def test_a_client_that_leaves_does_not_take_it_along(tmp_path):
    async with house(tmp_path, **SHADOW) as it:
        answer = await it.post(ask_for())
        await settled(it)
        assert len(shadows(it.entry(answer))) == 1
