"""Retries: what is made again, where, how often; and that each is a call of its own."""

from __future__ import annotations

import pytest
from upstreams.playing import Bench, Inner

from gateway.core.errors import (
    NotFoundThere,
    UpstreamBusy,
    UpstreamDown,
    UpstreamOverloaded,
    UpstreamRefusedUs,
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


@pytest.mark.parametrize("kind", [{"credentials": True}, {"sure": True}, {}])
async def test_what_one_refuses_another_is_asked(kind):
    refused = UpstreamRefusedUs("no", **kind)
    bench = Bench(Inner(refused), Inner(), dice=lambda: 0.0)
    for _ in range(6):
        assert await bench.call() is None
    often = 1 if "credentials" in kind else 3
    assert bench.sent == ["a", "b"] * often + ["b"] * (6 - often), "then it is set aside"
    assert bench.retried == [refused] * often
    assert bench.all[0].set_aside


async def test_what_every_one_refuses_is_its_client_s_to_hear_and_nobody_s_fault():
    refusals = [UpstreamRefusedUs("no"), UpstreamRefusedUs("nor here")]
    bench = Bench(Inner(refusals[0]), Inner(refusals[1]), dice=lambda: 0.0)
    for _ in range(9):
        assert await bench.call() in refusals
    assert len(bench.sent) == 18, "each was asked, each time"
    assert not any(each.set_aside or each.recent.failed for each in bench.all)
    assert all(each.ready(bench.clock.now) for each in bench.all)


async def test_one_that_refuses_half_is_sent_off_though_it_answers_between():
    refused = UpstreamRefusedUs("no")
    bench = Bench(Inner(*[refused, "ok"] * 20), Inner(), dice=lambda: 0.0)
    for _ in range(12):
        assert await bench.call() is None
    assert bench.counted("ejections") == {"m": 1}
    assert not bench.all[0].set_aside


async def test_what_one_has_not_another_may_have_and_nobody_is_blamed():
    missing = NotFoundThere("no file", status=404)
    bench = Bench(Inner(missing), Inner(), dice=lambda: 0.0)
    for _ in range(9):
        assert await bench.call() is None
    assert bench.retried == [missing] * 9
    assert bench.all[0].recent.failed == 0
