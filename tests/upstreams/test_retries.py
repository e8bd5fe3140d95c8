"""Retries: what is made again, where, how often; and that each is a call of its own."""

from __future__ import annotations

import pytest
from upstreams.playing import Bench, Inner

from gateway.core.errors import (
    UpstreamBusy,
    UpstreamDown,
    UpstreamOverloaded,
    UpstreamRejected,
    UpstreamTimeout,
)

DOWN = UpstreamDown("down")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr("gateway.core.retrying.FIRST_PAUSE", 0.001)


@pytest.mark.parametrize(
    ("script", "sent", "failed"),
    [
        ([DOWN, "ok"], 2, None),
        ([DOWN, DOWN, "ok"], 3, None),
        ([DOWN, DOWN, DOWN], 3, DOWN),
        ([UpstreamOverloaded("full"), "ok"], 2, None),
        ([UpstreamBusy("wait", retry_after=0.001), "ok"], 2, None),
        ([UpstreamBusy("wait", retry_after=60.0), "ok"], 1, UpstreamBusy),
        ([UpstreamTimeout("slow"), "ok"], 1, UpstreamTimeout),
        ([UpstreamRejected("no"), "ok"], 1, UpstreamRejected),
        ([("a delta, then", DOWN), "ok"], 1, DOWN),
        ([ValueError("ours"), "ok"], 1, ValueError),
    ],
)
async def test_only_what_is_safe(script, sent, failed):
    bench = Bench(Inner(*script), dice=lambda: 0.0)
    error = await bench.call()
    assert len(bench.sent) == sent
    assert len(bench.retried) == sent - 1
    assert error is failed or type(error) is failed
    assert len(bench.got) <= 1, "a client never gets two replies"


async def test_a_check_s_own_call_is_not_made_again():
    bench = Bench(Inner(DOWN, "ok"))
    assert await bench.call(retried=False) is DOWN
    assert bench.sent == ["a"]


async def test_not_beyond_the_time_that_is_left():
    bench = Bench(Inner(UpstreamBusy("wait", retry_after=1.5), "ok"))
    assert isinstance(await bench.call(start_within=1.0), UpstreamBusy)
    assert bench.counted("retries") == {"no_time": 1}


async def test_the_budget_bounds_them_when_everything_fails():
    bench = Bench(Inner(DOWN), retry_share=0.1, retry_least=0.0, breaker_failures=0)
    for _ in range(200):
        await bench.call()
    made = bench.counted("retries")["made"]
    assert made == len(bench.sent) - 200
    assert 15 <= made <= 21


async def test_off_means_off():
    bench = Bench(Inner(DOWN), retries=0)
    assert await bench.call() is DOWN
    assert bench.sent == ["a"]


async def test_another_deployment_is_asked_at_once_though_the_first_says_wait():
    bench = Bench(Inner(UpstreamBusy("wait", retry_after=60.0)), Inner(), dice=lambda: 0.0)
    assert await bench.call() is None
    assert bench.sent == ["a", "b"], "each mark says where the call goes"
    assert bench.counted("retries") == {"made": 1, "answered": 1}


async def test_nobody_is_asked_again_whose_breaker_has_opened():
    bench = Bench(Inner(DOWN), breaker_failures=1)
    assert await bench.call() is DOWN
    assert bench.sent == ["a"]
