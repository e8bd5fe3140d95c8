"""What a request may ask of the policy, and what it gets for asking wrongly."""

from __future__ import annotations

import asyncio

import pytest
from api.serving import REFUSES, SMALL, ask_for, config, house

pytestmark = pytest.mark.asyncio(loop_scope="session")

THREE = config(
    tiers__middle={"upstream": "sim", "model": "m-model", "price": {"input": 3, "output": 6}},
    routes__waterfall__tiers=["small", "middle", "large"],
    routes__waterfall__threshold=[0.8, 0.9],
)


@pytest.mark.parametrize("tier", ["small", "middle", "large"])
async def test_tier(tmp_path, tier):
    async with house(tmp_path, THREE) as it:
        answer = await it.post(ask_for(), x_waterfall_tier=tier)
        refused = await it.post(ask_for(**REFUSES), x_waterfall_tier=tier)
    assert answer.told("tier") == tier
    assert answer.told("start") == f"{tier}; override"
    assert refused.told("tier") == tier
    assert refused.told("attempts") == "1", "a pinned tier is served as it is"


@pytest.mark.parametrize("tier", ["nope", "waterfall", "SMALL", "small,large"])
async def test_a_wrong_tier(tmp_path, tier):
    async with house(tmp_path, THREE) as it:
        answer = await it.post(ask_for(), x_waterfall_tier=tier)
        assert it.sent == []
    assert answer.status == 400
    assert answer.error["param"] == "x-waterfall-tier"
    assert "small, middle, large" in answer.error["message"]


@pytest.mark.parametrize(
    ("threshold", "tier"),
    [
        ("0", "middle"),
        ("-0.0", "middle"),
        ("0.0001", "middle"),
        ("1", "small"),
        ("0,0", "large"),
        ("0,1", "middle"),
    ],
)
async def test_threshold(tmp_path, threshold, tier):
    async with house(tmp_path, THREE) as it:
        answer = await it.post(ask_for(), x_waterfall_threshold=threshold)
        entry = it.entry(answer)
    assert answer.told("start") == f"{tier}; score"
    assert float(answer.told("threshold")) == entry["threshold"] == float(threshold.split(",")[0])
    assert "-" not in answer.told("threshold")


@pytest.mark.parametrize(
    "threshold",
    ["-0.1", "1.1", "nan", "inf", "x", ",", "0.5,", "0.9,0.1", "0,0,0", "0.1 0.2", "0x1", "1e400"],
)
async def test_a_wrong_threshold(tmp_path, threshold):
    async with house(tmp_path, THREE) as it:
        answer = await it.post(ask_for(), x_waterfall_threshold=threshold)
    assert answer.status == 400
    assert answer.error["param"] == "x-waterfall-threshold"


@pytest.mark.parametrize(
    ("mode", "tier", "reason"),
    [("enforce", "small", "score"), ("observe", "large", "mode"), ("off", "large", "mode")],
)
async def test_mode(it, mode, tier, reason):
    answer = await it.post(ask_for(), x_waterfall_mode=mode)
    assert it.entry(answer)["mode"] == mode
    assert answer.told("start") == f"{tier}; {reason}"


@pytest.mark.parametrize("mode", ["Enforce", "on", "true", "enforce,off", "{enforce: 1}"])
async def test_a_wrong_mode(it, mode):
    answer = await it.post(ask_for(), x_waterfall_mode=mode)
    assert answer.status == 400
    assert answer.error["param"] == "x-waterfall-mode"


async def test_a_ceiling_is_kept_by_starting_lower_or_not_going_up(tmp_path):
    # 256 tokens of reply are about $0.0005 at small and $0.005 at large.
    async with house(tmp_path) as it:
        lower = await it.post(
            ask_for(), x_waterfall_threshold="0", x_waterfall_max_cost_usd="0.002"
        )
        stays = await it.post(ask_for(**REFUSES), x_waterfall_max_cost_usd="0.002")
        rises = await it.post(ask_for(**REFUSES), x_waterfall_max_cost_usd="0.02")
    assert lower.told("start") == "small; budget"
    assert stays.told("tier") == "small"
    assert stays.told("degraded") == "true"
    assert rises.told("tier") == "large"


async def test_a_ceiling_that_fits_nothing_is_refused_with_what_would(it):
    answer = await it.post(ask_for(), x_waterfall_max_cost_usd="0.0000001")
    assert it.sent == []
    assert answer.status == 400
    assert answer.error["code"] == "max_cost_too_low"
    assert answer.error["param"] == "x-waterfall-max-cost-usd"


async def test_a_ceiling_can_only_be_lowered(tmp_path):
    async with house(tmp_path, routes__waterfall__max_cost_usd=0.002) as it:
        answer = await it.post(ask_for(**REFUSES), x_waterfall_max_cost_usd="100")
    assert answer.told("tier") == "small"
    assert answer.told("degraded") == "true"


@pytest.mark.parametrize("amount", ["0", "-1", "nan", "inf", "1e999", "free", "$1", "1,5", "0x1"])
async def test_a_wrong_ceiling(it, amount):
    answer = await it.post(ask_for(), x_waterfall_max_cost_usd=amount)
    assert answer.status == 400
    assert answer.error["param"] == "x-waterfall-max-cost-usd"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_deadline_ends_what_hangs(it, stream):
    answer = await it.post(ask_for(stream=stream, simulate="hang"), x_waterfall_deadline="60ms")
    entry = it.entry(answer)
    assert answer.status == 504
    assert answer.error["type"] == "timeout"
    assert (entry["status"], entry["outcome"]) == (504, "timeout")


async def test_a_deadline_can_only_be_lowered(tmp_path):
    async with house(tmp_path, routes__waterfall__deadline="60ms") as it:
        answer = await it.post(ask_for(simulate="hang"), x_waterfall_deadline="30s")
        assert (await it.chat(simulate="hang")).status == 504
    assert answer.status == 504


@pytest.mark.parametrize("text", ["20", "20s", "500ms", "1.5s", "1m"])
async def test_a_deadline_s_forms(it, text):
    plan = await it.post(ask_for(), "/v1/route", x_waterfall_deadline=text)
    expected = {"20": 20, "20s": 20, "500ms": 0.5, "1.5s": 1.5, "1m": 60}[text]
    assert plan.json["deadline_seconds"] == expected


@pytest.mark.parametrize("text", ["0", "0ms", "-1s", "soon", "1d", "1 s", "1e3", "9" * 30, "inf"])
async def test_a_wrong_deadline(it, text):
    answer = await it.post(ask_for(), x_waterfall_deadline=text)
    assert answer.status == 400
    assert answer.error["param"] == "x-waterfall-deadline"


async def test_a_session_keeps_to_the_tier_that_had_to_serve_it(tmp_path):
    async with house(tmp_path) as it:
        first = await it.post(ask_for(), x_waterfall_session="s-1")
        raised = await it.post(ask_for(**REFUSES), x_waterfall_session="s-1")
        later = await it.post(ask_for(), x_waterfall_session="s-1")
        other = await it.post(ask_for(), x_waterfall_session="s-2")
        none = await it.chat()
        assert {entry["session"] for entry in it.entries()} == {"s-1", "s-2", ""}
    assert first.told("start") == "small; score"
    assert raised.told("tier") == "large"
    assert later.told("start") == "large; latch"
    assert other.told("start") == none.told("start") == "small; score"


async def test_being_routed_up_latches_nothing(tmp_path):
    async with house(tmp_path) as it:
        up = await it.post(ask_for(), x_waterfall_session="s", x_waterfall_threshold="0")
        later = await it.post(ask_for(), x_waterfall_session="s")
    assert up.told("start") == "large; score"
    assert later.told("start") == "small; score"


async def test_a_latch_can_be_off_or_short(tmp_path):
    for session in ({"latch": False}, {"ttl": "1ms"}):
        async with house(tmp_path, routes__waterfall__session=session) as it:
            await it.post(ask_for(**REFUSES), x_waterfall_session="s")
            await asyncio.sleep(0.01)
            later = await it.post(ask_for(), x_waterfall_session="s")
        assert later.told("start") == "small; score", session


async def test_a_degraded_or_pinned_reply_latches_nothing(tmp_path):
    async with house(tmp_path) as it:
        both = {"simulate": {SMALL: "refusal", "l-model": "500"}}
        await it.post(ask_for(**both), x_waterfall_session="s")
        await it.post(ask_for(), x_waterfall_session="s", x_waterfall_tier="large")
        await it.post(ask_for(), x_waterfall_session="s", x_waterfall_mode="off")
        later = await it.post(ask_for(), x_waterfall_session="s")
    assert later.told("start") == "small; score"


@pytest.mark.parametrize("name", ["", "a b", "x" * 257, "\x7f", "tab\t", "é"])
async def test_a_wrong_session(tmp_path, name):
    async with house(tmp_path) as it:
        answer = await it.post(ask_for(), x_waterfall_session=name)
    assert answer.status == 400
    assert answer.error["param"] == "x-waterfall-session"


async def test_observe_serves_the_baseline_and_records_what_would_have_been(tmp_path):
    async with house(tmp_path, routes__waterfall__mode="observe") as it:
        answer = await it.chat()
        entry = it.entry(answer)
        named = await it.chat(model="small")
    assert answer.told("tier") == "large"
    assert answer.told("difficulty") is not None
    assert (entry["mode"], entry["threshold"]) == ("observe", 0.8)
    assert named.told("tier") == "small", "a tier by name is that tier in any mode"


async def test_a_share_is_enforced_sticky_by_session(tmp_path):
    async with house(tmp_path, routes__waterfall__mode={"enforce": "30%"}) as it:
        seen = {}
        for number in range(60):
            session = f"session-{number}"
            answers = [await it.post(ask_for(), x_waterfall_session=session) for _ in range(2)]
            starts = {answer.told("start") for answer in answers}
            assert len(starts) == 1, "a session stays on its side"
            seen[session] = starts.pop()
        modes = {entry["mode"] for entry in it.entries()}
        forced = await it.post(ask_for(), x_waterfall_mode="enforce")
    enforced = sum(start == "small; score" for start in seen.values())
    assert set(seen.values()) == {"small; score", "large; mode"}
    assert 6 <= enforced <= 32, "about 30 % of 60 (a fixed hash, so the same in each run)"
    assert modes == {"enforce", "observe"}
    assert forced.told("start") == "small; score"


async def test_a_baseline_of_one_s_own_is_what_observe_serves(tmp_path):
    changes = {"routes__waterfall__baseline": {"tier": "small"}}
    async with house(tmp_path, routes__waterfall__mode="observe", **changes) as it:
        assert (await it.chat()).told("tier") == "small"
