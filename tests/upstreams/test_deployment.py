"""A deployment: its breaker, its credentials, its line."""

from __future__ import annotations

import asyncio

import pytest
from upstreams.playing import SAID, Bench, Inner

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
OFF = {"retries": 0}


async def test_it_is_left_alone_after_failures_and_probed_by_one_call():
    inner = Inner(*[DOWN] * 5, asyncio.Event(), "ok")
    event = inner.script[5]
    bench = Bench(inner, **OFF)
    for _ in range(5):
        assert await bench.call() is DOWN
    error = await bench.call()
    assert (error.status, error.code) == (503, "breaker_open")
    assert 4.9 <= error.retry_after <= 5.0
    assert len(bench.sent) == 5, "nobody was asked"
    assert bench.balanced.is_down(bench.clock.now)
    bench.clock.now += 5.0
    assert not bench.balanced.is_down(bench.clock.now)
    probe = asyncio.create_task(bench.call())
    await asyncio.sleep(0)
    assert (await bench.call()).code == "breaker_open", "one at a time"
    event.set()
    assert await probe is None
    assert await bench.call() is None
    assert bench.counted("breaker") == {"open": 1, "closed": 1}


class Slow(Inner):
    """Says something at once where its script has an Event, and ends when that is set."""

    async def call(self, call, receive):
        if isinstance(self.script[0], asyncio.Event):
            await receive(SAID)
        await super().call(call, receive)


async def test_the_first_word_of_a_probe_lets_the_others_in_and_its_end_still_counts():
    event = asyncio.Event()
    bench = Bench(Slow(*[DOWN] * 5, event, "ok", *[DOWN] * 4, "ok"), **OFF)
    for _ in range(5):
        await bench.call()
    bench.clock.now += 5.0
    probe = asyncio.create_task(bench.call())
    await asyncio.sleep(0)
    assert bench.all[0].breaker.closed, "it streams: nobody waits for its end"
    assert await bench.call() is None
    for _ in range(4):
        assert await bench.call() is DOWN
    probe.cancel()  # as nobody's fault as ever
    await asyncio.wait([probe])
    assert bench.all[0].breaker.closed
    assert bench.counted("breaker") == {"open": 1, "closed": 1}


async def test_a_probe_that_breaks_off_counts_as_a_failure():
    bench = Bench(Inner(*[DOWN] * 5, (SAID, DOWN), *[DOWN] * 4, "ok"), **OFF)
    for _ in range(5):
        await bench.call()
    bench.clock.now += 5.0
    for _ in range(5):
        assert await bench.call() is DOWN
    assert not bench.all[0].breaker.closed, "the broken probe was the first of five"


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (DOWN, True),
        (UpstreamTimeout("slow"), True),
        (UpstreamOverloaded("full"), True),
        (UpstreamRejected("no"), False),
        (UpstreamBusy("wait"), False),
        (ValueError("ours"), False),
    ],
)
async def test_what_counts_as_a_failure(error, opens):
    bench = Bench(Inner(error), **OFF)
    for _ in range(6):
        await bench.call()
    assert bench.all[0].breaker.closed is not opens


async def test_a_client_that_leaves_says_nothing_of_it():
    bench = Bench(Inner(asyncio.Event()), **OFF)
    for _ in range(9):
        task = asyncio.create_task(bench.call())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert bench.all[0].breaker.closed
    assert bench.all[0].concurrency.in_flight == 0


@pytest.mark.parametrize(("wait", "for_"), [(30.0, 30.0), (3600.0, 60.0)])
async def test_it_stays_away_when_told_to(wait, for_):
    bench = Bench(Inner(UpstreamBusy("wait", retry_after=wait), "ok"), **OFF)
    assert isinstance(await bench.call(), UpstreamBusy)
    bench.clock.now += for_ - 0.1
    assert (await bench.call()).code == "breaker_open"
    bench.clock.now += 0.1
    assert await bench.call() is None


@pytest.mark.parametrize(("credentials", "after"), [(True, 1), (False, 3)])
async def test_refused_credentials_are_set_aside_until_they_are_taken(credentials, after):
    refused = UpstreamRefusedUs(
        "no", credentials=credentials, sure=not credentials, code="model_not_found"
    )
    bench = Bench(Inner(*[refused] * after, "ok"), **OFF)
    for _ in range(after):
        assert await bench.call() is refused
    assert bench.all[0].set_aside
    error = await bench.call()
    assert (error.status, error.message, error.code) == (502, "no", "model_not_found"), "as before"
    assert len(bench.sent) == after
    assert bench.counted("shed") == {"credentials": 1}
    bench.clock.now += 60.0
    assert await bench.call() is None
    assert not bench.all[0].set_aside


async def test_one_request_s_own_refusal_sets_nothing_aside():
    bench = Bench(Inner(*[UpstreamRefusedUs("no")] * 9, "ok"), **OFF)
    for _ in range(9):
        assert (await bench.call()).status == 502
    assert not bench.all[0].set_aside, "nobody else has taken it: who knows whose fault it is?"
    assert await bench.call() is None


async def test_what_a_request_names_and_is_not_there_sets_nothing_aside():
    bench = Bench(Inner(*[NotFoundThere("no file", status=404)] * 9, "ok"), **OFF)
    for _ in range(9):
        assert (await bench.call()).status == 404
    assert bench.all[0].breaker.closed
    assert not bench.all[0].set_aside
    assert await bench.call() is None


async def test_with_the_breaker_off_it_is_asked_whatever_it_says():
    said = [DOWN] * 9 + [UpstreamBusy("wait", retry_after=60.0)]
    bench = Bench(
        Inner(*said, UpstreamRefusedUs("no", credentials=True)), breaker_failures=0, **OFF
    )
    for _ in range(15):
        await bench.call()
    assert len(bench.sent) == 15
    assert not bench.all[0].set_aside, "who is asked is not said to be set aside"


# ------------------------------------------------------------------ the line


async def test_who_is_over_the_limit_waits_in_order_of_arrival():
    event = asyncio.Event()
    bench = Bench(Inner(event, event, "ok"), concurrency=2, adaptive=False, **OFF)
    tasks = [asyncio.create_task(bench.call()) for _ in range(5)]
    await asyncio.sleep(0)
    assert (len(bench.sent), bench.all[0].waiting) == (2, 3)
    event.set()
    assert [await task for task in tasks] == [None] * 5
    assert bench.all[0].concurrency.in_flight == 0
    assert len(bench.tally.waits) == 3


async def test_the_line_is_bounded_and_nobody_waits_for_long():
    event = asyncio.Event()
    how = {"concurrency": 1, "adaptive": False, "queue": 1, "queue_wait": 0.02}
    bench = Bench(Inner(event, "ok"), **how, **OFF)
    first = asyncio.create_task(bench.call())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(bench.call())
    await asyncio.sleep(0)
    error = await bench.call()
    assert (error.status, error.code) == (503, "upstream_full")
    assert (await waiting).code == "upstream_full"
    assert bench.counted("shed") == {"queue_full": 1, "queue_wait": 1}
    event.set()
    assert await first is None
    assert await bench.call() is None
    assert len(bench.sent) == 2


async def test_nobody_joins_a_line_that_is_longer_than_what_is_left():
    event = asyncio.Event()
    bench = Bench(Inner("ok", event), concurrency=1, adaptive=False, **OFF)
    bench.all[0]._held = 5.0
    await bench.call()
    held = asyncio.create_task(bench.call())
    await asyncio.sleep(0)
    assert (await bench.call(start_within=3.0)).code == "upstream_full"
    event.set()
    assert await held is None


async def test_who_leaves_the_line_takes_no_place_with_him():
    event = asyncio.Event()
    bench = Bench(Inner(event, "ok"), concurrency=1, adaptive=False, **OFF)
    first = asyncio.create_task(bench.call())
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(bench.call()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    event.set()
    await first
    waiting[1].cancel()  # a place may have been given to it already
    assert await waiting[2] is None
    assert bench.all[0].concurrency.in_flight == 0
    assert bench.all[0].waiting == 0


async def test_escalations_cannot_take_what_is_set_apart():
    event = asyncio.Event()
    bench = Bench(Inner(event), concurrency=5, adaptive=False, reserve=0.4, **OFF)
    storm = [asyncio.create_task(bench.call(displaced=True)) for _ in range(20)]
    await asyncio.sleep(0)
    assert len(bench.sent) == 3
    direct = [asyncio.create_task(bench.call()) for _ in range(2)]
    await asyncio.sleep(0)
    assert len(bench.sent) == 5, "past those for whom there is no room"
    third = asyncio.create_task(bench.call())
    await asyncio.sleep(0)
    assert bench.all[0].waiting == 18
    event.set()
    assert [await each for each in (*storm, *direct, third)] == [None] * 23
    assert bench.all[0].waiting == 0


async def test_a_line_that_is_full_of_a_storm_is_not_full_for_others():
    event = asyncio.Event()
    how = {"concurrency": 2, "adaptive": False, "reserve": 0.5, "queue": 3}
    bench = Bench(Inner(event), **how, **OFF)
    storm = [asyncio.create_task(bench.call(displaced=True)) for _ in range(4)]
    await asyncio.sleep(0)
    assert (await bench.call(displaced=True)).code == "upstream_full"
    direct = [asyncio.create_task(bench.call()) for _ in range(4)]
    await asyncio.sleep(0)
    assert len(bench.sent) == 2
    assert (await bench.call()).code == "upstream_full"
    event.set()
    assert [await each for each in (*storm, *direct)] == [None] * 8


async def test_direct_traffic_passes_a_storm_that_waits():
    first, rest = asyncio.Event(), asyncio.Event()
    bench = Bench(Inner(first, rest), concurrency=2, adaptive=False, reserve=0.5, **OFF)
    held = asyncio.create_task(bench.call())
    other = asyncio.create_task(bench.call(displaced=True))
    await asyncio.sleep(0)
    storm = [asyncio.create_task(bench.call(displaced=True)) for _ in range(5)]
    await asyncio.sleep(0)
    direct = asyncio.create_task(bench.call())
    await asyncio.sleep(0)
    first.set()
    await held
    await asyncio.sleep(0.01)
    assert bench.all[0].concurrency.displaced == 1
    assert len(bench.sent) == 3, "the direct call went before five that were there earlier"
    rest.set()
    assert [await each for each in (other, *storm, direct)] == [None] * 7


async def test_the_limit_follows_what_the_upstream_says():
    event = asyncio.Event()
    bench = Bench(Inner(*[event] * 10, UpstreamBusy("too much")), concurrency=100, **OFF)
    tasks = [asyncio.create_task(bench.call()) for _ in range(11)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bench.all[0].concurrency.limit == pytest.approx(11 * 0.7)
    event.set()
    await asyncio.wait(tasks)
    assert bench.all[0].concurrency.limit > 11 * 0.7
