"""Whatever comes, goes, fails or is cut off, in any order: no place is given twice, and none is
lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from upstreams.playing import SAID, Bench

from gateway.core.concurrency import Concurrency
from gateway.core.errors import (
    NotAsked,
    UpstreamBusy,
    UpstreamDown,
    UpstreamOverloaded,
    UpstreamRefusedUs,
    UpstreamTimeout,
)

MOST = 3
ENDS = [
    None,
    UpstreamDown("down"),
    UpstreamBusy("busy", retry_after=1.0),
    UpstreamOverloaded("full", retry_after=9.0),
    UpstreamTimeout("slow"),
    UpstreamRefusedUs("no", credentials=True),
    NotAsked("no sockets", code="no_sockets"),
    ZeroDivisionError(),
]
STEPS = st.one_of(
    st.tuples(st.just("come"), st.booleans()),
    st.tuples(st.just("end"), st.integers(0, 9), st.integers(0, len(ENDS) - 1)),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("both"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("later"), st.sampled_from([0.5, 6.0, 70.0])),
)


class Held:
    """An upstream whose calls last until they are told how to end."""

    def __init__(self):
        self.calls = []

    async def call(self, call, receive):
        call.on_sent()
        held = asyncio.get_running_loop().create_future()
        self.calls.append(held)
        try:
            await held
            await receive(SAID)
        finally:
            self.calls.remove(held)

    def end(self, place, how=None):
        if self.calls:
            held = self.calls[place % len(self.calls)]
            if not held.done():
                held.set_result(None) if how is None else held.set_exception(how)


async def turns():
    for _ in range(4):
        await asyncio.sleep(0)


class Play:
    """Deployments of one model, and those who call them."""

    def __init__(self, deployments, **how):
        self.inners = [Held() for _ in range(deployments)]
        self.bench = Bench(*self.inners, concurrency=MOST, queue=4, breaker_failures=3, **how)
        self.tasks, self.running = [], []

    async def come(self, displaced):
        task = asyncio.create_task(self.bench.call(displaced=displaced))
        self.tasks.append(task)
        self.running.append(task)

    async def end(self, place, how):
        self.inners[place % len(self.inners)].end(place, ENDS[how])

    async def cancel(self, place):
        self.running = [each for each in self.running if not each.done()]
        if self.running:
            self.running.pop(place % len(self.running)).cancel()

    async def both(self, place, other):
        """A place is given, and whoever is given it goes before it knows."""
        self.inners[0].end(place)
        await asyncio.sleep(0)
        await self.cancel(other)

    async def later(self, seconds):
        self.bench.clock.now += seconds

    def look(self):
        for each, inner in zip(self.bench.all, self.inners, strict=True):
            assert len(inner.calls) <= each.concurrency.in_flight <= MOST
            assert each.concurrency.displaced <= max(1.0, MOST * (1 - each.how.reserve))
            assert 0 <= each._direct <= each.waiting <= 2 * each.how.queue

    async def wind_up(self):
        while any(not task.done() for task in self.tasks):
            for inner in self.inners:
                inner.end(0)
            if not any(inner.calls for inner in self.inners):
                for task in self.tasks:
                    task.cancel()  # it only waits to ask again
            await turns()


async def play(steps, deployments, **how):
    it = Play(deployments, **how)
    for what, *told in steps:
        await getattr(it, what)(*told)
        await turns()
        it.look()
    await it.wind_up()
    for each in it.bench.all:
        left = (each.concurrency.in_flight, each.concurrency.displaced, each.waiting, each._direct)
        assert left == (0, 0, 0, 0)
    await it.later(1_000.0)
    assert all(each.breaker.allows(it.bench.clock.now) for each in it.bench.all)
    await it.come(displaced=False)
    await turns()
    assert sum(len(inner.calls) for inner in it.inners) == 1, "and they take calls again"
    await it.wind_up()
    assert it.tasks[-1].result() is None


COME, REFUSED = ("come", False), ("end", 0, 5)
PROBED = [COME, REFUSED, ("later", 70.0), COME]


@pytest.mark.parametrize("deployments", [1, 2])
@example([COME] * 5 + [("both", 0, 2)], 0.0, 0)
@example([*PROBED, ("cancel", 0)], 0.0, 0)
@example([*PROBED, ("end", 0, 6)], 0.0, 0)
@example([*PROBED, ("end", 0, 7)], 0.0, 0)
@given(st.lists(STEPS, max_size=40), st.sampled_from([0.0, 0.4]), st.sampled_from([0, 2]))
def test_no_place_is_lost_or_given_twice(deployments, steps, reserve, retries):
    asyncio.run(play(steps, deployments, reserve=reserve, retries=retries, adaptive=False))


@given(st.lists(st.booleans(), max_size=12))
def test_whoever_enters_and_leaves_leaves_nothing(kinds):
    it = Concurrency(4, adaptive=False, reserve=0.5)
    inside = []
    for displaced in kinds:
        if it.admits(displaced=displaced):
            it.enter(displaced=displaced)
            inside.append(displaced)
    for displaced in inside:
        it.leave(displaced=displaced)
    assert (it.in_flight, it.displaced) == (0, 0)
