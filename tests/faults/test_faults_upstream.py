"""The fault matrix, rows of the upstream: over real sockets, each named after its row."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest
from faults.rig import LARGE, LIMITS, QUICK, SMALL, rigged
from upstreams.scripted import free_port

from gateway.upstreams.simulated import Behaviour, Length


def both(fault):
    return {SMALL: fault, LARGE: fault}


async def served_by_the_next(rig, fault, *, stream=False, **fields):
    """A fault at the small tier: the large one answers, and the reply is whole."""
    reply = await rig.ask(fault, stream=stream, **fields)
    assert (reply.status, reply.told("tier"), reply.ended) == (200, "large", True), reply.body
    assert reply.text
    return reply


async def test_f01_connect_refused(tmp_path):
    """retried at another replica at once, then the next tier; 502 when all refuse"""
    refused = {"base_url": f"http://127.0.0.1:{free_port()}/v1"}
    async with rigged(tmp_path, upstreams={"gone": refused}, at=["gone", "near"]) as rig:
        for _ in range(4):
            assert (await rig.ask()).told("tier") == "small"
        dead = refused["base_url"]
        assert {call["upstream"] for call in rig.rows("call")} == {"near"}, dead
    async with rigged(tmp_path / "2", upstreams={"gone": refused}, at="gone") as rig:
        assert (await rig.ask()).told("tier") == "large"
        rig.script({"fault": "500"}, at="far")
        assert (await rig.ask()).status == 502


async def test_f02_reset_before_headers(tmp_path):
    """made again, then the next tier; nothing is billed for it"""
    async with rigged(tmp_path) as rig:
        rig.script("reset")
        assert (await rig.ask()).told("tier") == "small", "made again"
        await served_by_the_next(rig, "reset")
        reply = await rig.ask(both("reset"))
        assert reply.status == 502
        assert all(
            c["cost"] == 0 or c["status"] == "ok" or c["estimated"] for c in rig.rows("call")
        )


@pytest.mark.parametrize("fault", ["short_body", "cut,after=3"])
async def test_f03_short_body(tmp_path, fault):
    """never half a JSON: made again, then the next tier; what it cost is estimated, not 0"""
    async with rigged(tmp_path) as rig:
        await served_by_the_next(rig, fault)
        failed = [call for call in rig.rows("call") if call["status"] == "failed"]
        assert failed
        assert all(call["estimated"] and call["cost"] > 0 for call in failed)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
async def test_f04_server_errors(tmp_path, status):
    """made again within the budget, then the next tier; at the end 502, 503 or 504"""
    async with rigged(tmp_path) as rig:
        await served_by_the_next(rig, str(status))
        reply = await rig.ask(both(f"{status},retry_after=1"), x_waterfall_deadline="500ms")
        expected = {503: 503, 529: 503, 504: 504}.get(status, 502)
        assert reply.status == expected
        assert (reply.headers.get("retry-after") == "1") == (expected == 503)


async def test_f05_rate_limited(tmp_path):
    """waited for where that fits the deadline, else the next tier at once; a final 429 keeps it"""
    soon = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    async with rigged(tmp_path) as rig:
        rig.script("429,retry_after=1")
        reply = await rig.ask()
        assert (reply.told("tier"), reply.seconds > 1.0) == ("small", True)
        for wait in ("60", "3600", soon.replace(",", "")):
            reply = await rig.ask(f"429,retry_after={wait}")
            assert (reply.told("tier"), reply.seconds < 3) == ("large", True)
        await served_by_the_next(rig, "429,retry_after=garbage")
        reply = await rig.ask(both("429,retry_after=60"))
        assert (reply.status, reply.headers["retry-after"]) == (429, "60")


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_f06_rejected(tmp_path, status):
    """never made again nor escalated; status, code and words are the upstream's"""
    async with rigged(tmp_path) as rig:
        reply = await rig.ask(f"{status},code=bad_thing")
        assert (reply.status, reply.error["code"]) == (status, "bad_thing")
        assert len(rig.near.lines()) == 1
        assert not rig.far.lines()


async def test_f07_thousands_of_cancelled_calls(tmp_path):
    """the pool is whole afterwards: connections go back to their idle level, and calls work"""
    async with rigged(tmp_path) as rig:
        for _ in range(10):
            tasks = [asyncio.create_task(rig.ask("hang")) for _ in range(20)]
            await asyncio.sleep(0.03)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await rig.quiet()
        async with asyncio.timeout(5):
            while rig.near.open_connections > 20:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert [(await rig.ask()).status for _ in range(10)] == [200] * 10


async def test_f08_refused_credentials(tmp_path):
    """502 and never 401; the deployment is set aside, with an alarm, and nobody asks there"""
    async with rigged(tmp_path, around={"breaker": {"pause": "50ms"}}, works=False) as rig:
        reply = await rig.ask("401")
        assert (reply.status, reply.told("tier")) == (200, "large")
        assert await rig.metric("credentials_set_aside", upstream="near") == 1
        before = len(rig.near.lines())
        assert (await rig.ask()).told("start") == "large; breaker"
        assert len(rig.near.lines()) == before
        assert (await rig.ask({LARGE: "403"})).status == 502


@pytest.mark.parametrize("stream", [False, True])
async def test_f09_hang_before_headers(tmp_path, stream):
    """its time-out, then the next tier; by the deadline 504, and the upstream's socket is closed"""
    async with rigged(tmp_path) as rig:
        await served_by_the_next(rig, "hang", stream=stream)
        reply = await rig.ask(both("hang"), stream=stream, x_waterfall_deadline="400ms")
        assert (reply.status, reply.seconds < 1.5) == (504, True)
        await rig.quiet()
        assert all(line["closed_after_ms"] is not None for line in rig.near.lines())


async def test_f10_slow_first_token(tmp_path):
    """its own time-out, before anything was sent: the next tier"""
    async with rigged(tmp_path) as rig:
        reply = await served_by_the_next(rig, "slow_first,seconds=8", stream=True)
        assert 0.8 <= reply.seconds < 4
        assert (await rig.ask("slow_first,seconds=0.1", stream=True)).told("tier") == "small"


def broken_off(reply):
    """A stream that failed after its first byte: an error event, no finish, no [DONE]."""
    assert reply.status == 200
    assert b"event: error" in reply.body
    assert "[DONE]" not in reply.events
    assert b'"finish_reason":"stop"' not in reply.body.replace(b" ", b"")


@pytest.mark.parametrize("fault", ["stall,after=3", "reset,after=3", "cut,after=3"])
async def test_f11_f12_a_stream_that_breaks_after_release(tmp_path, fault):
    """an error event, no finish reason, no [DONE]; tokens so far are billed and kept"""
    async with rigged(tmp_path) as rig:
        reply = await rig.ask({LARGE: fault}, stream=True, model="large")
        broken_off(reply)
        (call,) = rig.rows("call")
        assert (call["status"], call["completion_tokens"] > 0) == ("failed", True)


@pytest.mark.parametrize("after", [0, 3])
async def test_f13_an_error_in_the_stream(tmp_path, after):
    """first: the next tier, or its true status; later: forwarded once, and the stream ends"""
    async with rigged(tmp_path) as rig:
        await served_by_the_next(rig, f"error_event,after={after}", stream=True)
        reply = await rig.ask({LARGE: f"error_event,after={after}"}, stream=True, model="large")
        if after:
            broken_off(reply)
            assert reply.body.count(b"event: error") == 1
        else:
            assert reply.status == 502


async def test_f14_malformed_chunks(tmp_path):
    """as a stream that breaks: an error event, or the next tier while it is held"""
    async with rigged(tmp_path) as rig:
        await served_by_the_next(rig, "malformed,after=3", stream=True)
        broken_off(await rig.ask({LARGE: "malformed,after=3"}, stream=True, model="large"))


async def test_f15_odd_framing(tmp_path):
    """the same text as without"""
    async with rigged(tmp_path) as rig:
        plain = await rig.ask(stream=True)
        odd = await rig.ask("odd_sse", stream=True)
        assert (odd.told("tier"), odd.text) == ("small", plain.text)
        assert odd.events.count("[DONE]") == 1


@pytest.mark.parametrize("fault", ["no_done", "two_done", "after_done"])
async def test_f16_odd_ends(tmp_path, fault):
    """exactly one [DONE], and nothing after it"""
    async with rigged(tmp_path) as rig:
        reply = await rig.ask(fault, stream=True)
        assert (reply.told("tier"), reply.events.count("[DONE]")) == ("small", 1)
        assert reply.events[-1] == "[DONE]"


@pytest.mark.parametrize("fault", ["no_usage", "absurd_usage"])
async def test_f17_usage_missing_or_absurd(tmp_path, fault):
    """our own estimate, marked so; nothing negative, nothing without bound"""
    async with rigged(tmp_path) as rig:
        for stream in (False, True):
            assert (await rig.ask(fault, stream=stream)).status == 200
        for call in rig.rows("call"):
            assert 0 <= call["completion_tokens"] <= 100_000_000
            assert 0 <= call["cost"] < 10**18
            assert call["estimated"] or fault == "absurd_usage"


@pytest.mark.parametrize("fault", ["html", "empty", "null", "no_choices"])
async def test_f18_a_200_that_is_none(tmp_path, fault):
    """made again, the next tier, at the end 502"""
    async with rigged(tmp_path) as rig:
        await served_by_the_next(rig, fault)
        assert (await rig.ask(both(fault))).status == 502


async def test_f19_another_model_s_name(tmp_path):
    """plain and streamed say the same name"""
    async with rigged(tmp_path) as rig:
        plain, streamed = await rig.ask("wrong_model"), await rig.ask("wrong_model", stream=True)
        names = {orjson.loads(each)["model"] for each in streamed.events if each != "[DONE]"}
        assert names == {orjson.loads(plain.body)["model"]}


@pytest.mark.parametrize("fault", ["huge,size=70", "gzip", "big_head,size=1"])
async def test_f20_too_large(tmp_path, fault):
    """cut at a cap while it streams: the next tier"""
    async with rigged(
        tmp_path, around={"timeouts": {}, "retries": "off"}, route={"deadline": "30s"}
    ) as rig:
        await served_by_the_next(rig, fault)


async def test_f21_a_kept_connection_that_has_died(tmp_path):
    """made anew on a fresh socket; the client does not notice"""
    async with rigged(tmp_path) as rig:
        await rig.ask()
        for connection in list(rig.near._connections):
            connection.transport.close()
        reply = await rig.ask()
        assert (reply.status, reply.told("tier"), reply.told("attempts")) == (200, "small", "1")


async def test_f22_one_byte_a_second(tmp_path):
    """the total time-out rules, then the deadline"""
    drip, limits = "slow_loris,seconds=0.001", LIMITS | {"first_token": "3s", "total": "4s"}
    async with rigged(tmp_path, around={"timeouts": limits}) as rig:
        long = replace(QUICK, length=Length(median=90, most=90, least=90))
        rig.near.provider.direct(Behaviour(default=long))
        reply = await served_by_the_next(rig, drip, stream=True)
        assert 4 <= reply.seconds < 7
        reply = await rig.ask(both(drip), stream=True, x_waterfall_deadline="1s")
        assert (reply.status, 1 <= reply.seconds < 2.5) == (504, True)


async def test_f23_a_redirect(tmp_path):
    """not followed: the next tier, at the end 502"""
    async with rigged(tmp_path) as rig:
        await served_by_the_next(rig, "redirect")
        assert (await rig.ask(both("redirect"))).status == 502


async def test_f24_all_tiers_down(tmp_path):
    """with the breakers open 503 with Retry-After in under 50 ms, and no calls but probes"""
    breaker = {"failures": 3, "pause": "1s"}
    async with rigged(tmp_path, around={"breaker": breaker}) as rig:
        for at in ("near", "far"):
            rig.script({"fault": "500"}, at=at)
        for _ in range(4):
            await rig.ask()
        before = len(rig.near.lines()) + len(rig.far.lines())
        replies = [await rig.ask() for _ in range(10)]
        assert {each.status for each in replies} == {503}
        assert all("retry-after" in each.headers for each in replies)
        assert sorted(each.seconds for each in replies)[5] < 0.05
        assert len(rig.near.lines()) + len(rig.far.lines()) == before
        await asyncio.sleep(1.05)


async def test_f26_a_broken_judge(tmp_path):
    """an abstention within its own time: served, never a 5xx"""
    checks = {"grader": {"kind": "judge", "tier": "large", "timeout": "200ms"}}
    bar = {"checks": ["shape", "grader"]}
    async with rigged(tmp_path, checks=checks, bar=bar) as rig:
        rig.script({"fault": "hang"}, at="far")
        reply = await rig.ask()
        assert (reply.status, reply.told("tier"), reply.seconds < 4) == (200, "small", True)
        assert await rig.metric("check_abstentions_total", check="grader", reason="timeout") == 1


async def test_f27_the_escalation_fails(tmp_path):
    """the deferred reply is served, marked degraded"""
    async with rigged(tmp_path) as rig:
        reply = await rig.ask({SMALL: "refusal", LARGE: "500"})
        assert (reply.status, reply.told("tier"), reply.told("degraded")) == (200, "small", "true")
        pinned = await rig.ask({LARGE: "500"}, x_waterfall_threshold="0")
        assert (pinned.told("tier"), pinned.told("degraded")) == ("small", "true")
