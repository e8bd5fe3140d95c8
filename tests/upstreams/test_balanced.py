"""Several deployments: who is asked, who is sent off, and who keeps a conversation."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from random import Random

import pytest
from upstreams.playing import Bench, Inner

from gateway.core.errors import UpstreamDown, UpstreamTimeout
from gateway.core.money import Price

DOWN = UpstreamDown("down")
CACHED = Price(10, 20, cached_input=1)


class Failing(Inner):
    """Fails a share of its calls, as long as it is ill."""

    def __init__(self, share, seed=1):
        super().__init__()
        self.share, self.random = share, Random(seed)

    async def call(self, call, receive):
        self.script = [DOWN if self.random.random() < self.share else "ok"]
        await super().call(call, receive)


def two(*inners, **how):
    return Bench(*inners, dice=Random(7).random, **how)


async def test_load_is_shared():
    bench = two(Inner(), Inner(), Inner())
    for _ in range(300):
        await bench.call()
    assert min(Counter(bench.sent).values()) > 60


async def test_who_has_less_under_way_is_asked():
    held = asyncio.Event()
    bench = two(Inner(held), Inner())
    bench.all[0].paces[0].known = bench.all[1].paces[0].known = 0.1
    tasks = [asyncio.create_task(bench.call()) for _ in range(8)]
    await asyncio.sleep(0)
    sent = Counter(bench.sent)
    assert sent["a"] <= 2, "what is stuck is not given more"
    held.set()
    await asyncio.wait(tasks)


async def test_who_is_slow_is_asked_less():
    bench = two(Inner(), Inner())
    bench.all[0].paces[0].known, bench.all[1].paces[0].known = 1.0, 0.1
    for _ in range(100):
        await bench.call()
        bench.all[0].paces[0].known = 1.0
    assert 80 <= Counter(bench.sent)["b"] < 100, "but now and then, for it may have changed"


async def test_one_that_hangs_from_the_start_is_given_next_to_nothing():
    bench = two(Inner(asyncio.Event()), Inner())
    tasks = []
    for _ in range(200):
        tasks.append(asyncio.create_task(bench.call()))
        await asyncio.sleep(0)
        bench.clock.now += 0.05
    assert Counter(bench.sent)["a"] <= 3, "unknown is not fast, and what waits is not explored"
    await gone(tasks)


async def test_one_that_hangs_is_sent_off_though_every_client_leaves_before_its_time_out():
    bench = two(Inner(asyncio.Event()), Inner())
    tasks = []
    for step in range(500):
        tasks.append(asyncio.create_task(bench.call()))
        await asyncio.sleep(0)
        bench.clock.now += 0.05
        if step >= 40:
            tasks[step - 40].cancel()
    await gone(tasks)
    assert bench.counted("ejections")["m"] >= 2, "and again, at the first call after it was back"
    assert Counter(bench.sent)["a"] <= 10
    assert bench.all[0].breaker.closed, "of clients that leave the breaker does not hear"


async def test_who_leaves_at_once_says_nothing():
    bench = two(Inner(asyncio.Event()), Inner())
    for _ in range(60):
        task = asyncio.create_task(bench.call())
        await asyncio.sleep(0)
        bench.clock.now += 0.05
        await gone([task])
    assert not bench.counted("ejections")
    assert bench.all[0].recent.failed == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_a_plain_reply_may_take_longer_than_a_stream_s_first_word(stream):
    bench = two(Inner(asyncio.Event()), Inner())
    for _ in range(400):
        for each in bench.all:
            each.paces[True].known, each.paces[False].known = 0.1, 3.0
        task = asyncio.create_task(bench.call(stream=stream))
        await asyncio.sleep(0)
        bench.clock.now += 2.0
        await gone([task])
    assert bool(bench.counted("ejections")) is stream
    assert bool(bench.all[0].recent.failed) is False, "an ejection forgets, and nothing else failed"


async def test_time_outs_of_one_that_hangs_send_it_off_after_two():
    bench = two(Inner(), Inner())
    for _ in range(20):
        await bench.call()

    async def hang(call, _):
        call.on_sent()
        bench.clock.now += 1.0
        raise UpstreamTimeout("slow")

    bench.inners[0].call = hang
    failed = 0
    while not bench.counted("ejections"):
        failed += await bench.call() is not None
        assert failed <= 2
    assert failed == 2


async def test_a_cached_conversation_does_not_wait_at_one_that_hangs():
    bench = two(Inner(asyncio.Event()), Inner())
    tasks = []
    for number in range(100):
        talk = partial(str, f"talk {number % 10}")
        tasks.append(asyncio.create_task(bench.call(affinity=talk, price=CACHED)))
        await asyncio.sleep(0)
        bench.clock.now += 0.05
    assert Counter(bench.sent)["a"] <= 5
    await gone(tasks)


async def gone(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_one_that_fails_half_its_calls_is_sent_off_and_taken_back():
    ill = Failing(0.5)
    bench = two(ill, Inner())
    failed = 0
    for _ in range(200):
        bench.clock.now += 0.02
        failed += await bench.call() is not None
        if bench.all[0].ejected_until:
            break
    assert bench.all[0].ejected_until > bench.clock.now
    assert bench.clock.now < 105.0
    before = len(ill.calls)
    for _ in range(100):
        bench.clock.now += 0.02
        failed += await bench.call() is not None
    assert len(ill.calls) == before, "nobody is asked who was sent off"
    assert failed == 0, "no client has heard of it"
    ill.share = 0.0
    bench.clock.now += 5.0
    for _ in range(50):
        await bench.call()
    assert len(ill.calls) > before
    assert bench.counted("ejections") == {"m": 1}


async def test_the_last_one_is_never_sent_off():
    bench = two(Failing(0.6, 1), Failing(0.6, 2), Failing(0.6, 3), breaker_failures=0)
    for _ in range(400):
        bench.clock.now += 0.02
        await bench.call()
        assert any(each.ready(bench.clock.now) for each in bench.all)


async def test_with_all_breakers_open_the_error_says_so():
    bench = two(Inner(DOWN), Inner(DOWN), breaker_failures=2, retries=0)
    for _ in range(12):
        error = await bench.call()
    assert error.code == "breaker_open"
    assert len(bench.sent) == 4


async def test_a_time_out_is_not_made_again_elsewhere():
    bench = two(Inner(UpstreamTimeout("slow")), Inner(UpstreamTimeout("slow")))
    assert isinstance(await bench.call(), UpstreamTimeout)
    assert len(bench.sent) == 1


async def test_a_conversation_stays_where_its_prompt_is_cached():
    bench = Bench(Inner(), Inner(), Inner(), dice=lambda: 0.5)
    for number in range(30):
        await bench.call(affinity=partial(str, f"talk {number % 10}"), price=CACHED)
    rounds = [bench.sent[start : start + 10] for start in (0, 10, 20)]
    assert rounds[0] == rounds[1] == rounds[2]
    assert len(set(rounds[0])) > 1


async def test_where_a_cache_saves_nothing_it_goes_anywhere():
    bench = two(Inner(), Inner(), Inner())
    for _ in range(60):
        await bench.call(affinity=lambda: "talk", price=Price(10, 20))
    assert len(set(bench.sent)) == 3


async def test_a_crowd_is_not_sent_to_one_for_the_cache_s_sake():
    event = asyncio.Event()
    bench = two(Inner(event), Inner(event))
    tasks = [
        asyncio.create_task(bench.call(affinity=lambda: "talk", price=CACHED)) for _ in range(40)
    ]
    await asyncio.sleep(0)
    assert min(Counter(bench.sent).values()) >= 12
    event.set()
    await asyncio.wait(tasks)
