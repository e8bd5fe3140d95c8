"""What every shared state does alike: in memory, in a file, in a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared.redis_server import needs_redis, redis

from gateway.api import idempotency
from gateway.core.allowance import Ask, Drawn, Terms
from gateway.shared import (
    Draw,
    FileShared,
    MemoryShared,
    SharedDown,
    SharedUnusable,
    open_shared,
)

__all__ = ["redis"]
RATE = Terms("rate", 100, 0.001)
BUDGET = Terms("budget", 100)
SLOTS = Terms("slots", 3)


def wall():
    return time.clock_gettime(time.CLOCK_REALTIME)


@contextlib.asynccontextmanager
async def opened(kind, tmp_path, request):
    if kind == "redis":
        shared = open_shared(request.getfixturevalue("redis").url, tmp_path / "none", wall, 2.0)
    else:
        shared = FileShared(tmp_path / "x.shared", wall, 1.0) if kind == "file" else None
    shared = shared or MemoryShared(wall)
    try:
        yield shared
    finally:
        await shared.aclose()


KINDS = ["memory", "file", pytest.param("redis", marks=[pytest.mark.live, needs_redis])]


@pytest.mark.parametrize("kind", KINDS)
async def test_pools(kind, tmp_path, request):
    async with opened(kind, tmp_path, request) as shared:
        draws = [
            Draw("r", RATE, Ask("a", want=30, least=1), 60),
            Draw("r", RATE, Ask("b", back=-10, want=90, least=1), 60),
            Draw("b", BUDGET, Ask("a", want=60, least=1), 60),
            Draw("b", BUDGET, Ask("b", want=60, least=50), 60),
            Draw("b", BUDGET, Ask("b", want=60, least=40), 60),
            Draw("s", SLOTS, Ask("a", want=1, least=1), 60),
        ]
        found = await shared.draw(draws)
        told = [(each.granted, each.left) for each in found]
        assert told == [(30, 70), (60, 0), (60, 40), (0, 40), (40, 0), (1, 2)]
        (more,) = await shared.draw([Draw("r", RATE, Ask("a", want=3, least=3), 60)])
        assert more.granted == 0
        assert 2_900 < more.wait <= 3_000
        (back,) = await shared.draw([Draw("b", BUDGET, Ask("a", used=7), 60)])
        assert back == Drawn(0, 53)


@pytest.mark.parametrize("kind", KINDS)
async def test_values(kind, tmp_path, request):
    async with opened(kind, tmp_path, request) as shared:
        assert await shared.get("x") is None
        assert await shared.claim("x", b"one", 60) is None
        assert await shared.claim("x", b"two", 60) == b"one"
        await shared.put("x", b"three\0", 60)
        assert await shared.get("x") == b"three\0"
        await shared.drop("x")
        assert await shared.get("x") is None
        await shared.put("y", b"soon gone", 0.02)
        await asyncio.sleep(0.05)
        assert await shared.get("y") is None
        assert await shared.claim("y", b"new", 60) is None


async def test_processes_meet_in_a_file_and_find_it_again(tmp_path):
    path = tmp_path / "a" / "x.shared"
    first, second = (FileShared(path, wall, 1.0) for _ in range(2))
    for holder, shared in (("a", first), ("b", second)):
        await shared.draw([Draw("b", BUDGET, Ask(holder, used=5, want=20, least=1), 60)])
    await first.aclose()
    await second.aclose()
    assert path.stat().st_mode & 0o777 == 0o600
    third = FileShared(path, wall, 1.0)
    (found,) = await third.draw([Draw("b", BUDGET, Ask("c"), 60)])
    assert found.left == 100 - 2 * 25
    await third.aclose()
    with pytest.raises(SharedDown):
        await third.get("x")


async def test_a_locked_file_is_down_and_comes_back(tmp_path):
    path = tmp_path / "x.shared"
    shared = FileShared(path, wall, 0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(SharedDown):
        await shared.put("x", b"", 60)
    other.execute("ROLLBACK")
    other.close()
    await shared.put("x", b"1", 60)
    assert await shared.get("x") == b"1"
    await shared.aclose()


def test_what_cannot_be_opened(tmp_path):
    (tmp_path / "file").write_text("not a database, of more than a few bytes\n" * 100)
    with pytest.raises(SharedUnusable, match="No shared state can be kept at"):
        open_shared("memory://", tmp_path / "file", wall, 0.1)
    with pytest.raises(SharedUnusable, match=r"shared\.url"):
        open_shared("http://x", tmp_path / "x", wall, 0.1)


ASK = st.builds(
    Ask,
    holder=st.sampled_from("abc"),
    used=st.integers(0, 10**15),
    kept=st.integers(0, 10**15),
    back=st.integers(-50, 50),
    want=st.integers(0, 10**15),
    least=st.integers(0, 60),
)
TERMS = st.sampled_from([RATE, Terms("budget", 10**15), SLOTS])


@pytest.mark.live
@needs_redis
def test_the_script_reckons_as_the_core_does(redis, tmp_path):
    """The same draws, at random, in memory and by the script; one that pays off less than a unit
    in time is the same draw."""
    number = iter(range(10**6))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(TERMS, st.lists(ASK, min_size=1, max_size=8))
    def same(terms, asks):
        name = f"same{next(number)}"

        async def both():
            there, here = open_shared(redis.url, tmp_path, wall, 2.0), MemoryShared(wall)
            draws = [Draw(name, terms, ask, 60) for ask in asks]
            try:
                return await there.draw(draws), await here.draw(draws)
            finally:
                await there.aclose()

        one, other = asyncio.run(both())
        assert [(each.granted, each.left) for each in one] == [
            (each.granted, each.left) for each in other
        ]
        for mine, yours in zip(one, other, strict=True):
            assert mine.wait == pytest.approx(yours.wait, abs=5)

    same()


@pytest.mark.live
@needs_redis
async def test_a_redis_that_is_stopped_or_frozen_is_down_in_time(redis, tmp_path):
    shared = open_shared(redis.url, tmp_path, wall, 0.1)
    await shared.put("x", b"1", 60)
    redis.freeze()
    began = time.perf_counter()
    with pytest.raises(SharedDown):
        await shared.get("x")
    assert time.perf_counter() - began < 2
    redis.thaw()
    await asyncio.sleep(0.1)
    assert await shared.get("x") == b"1"
    redis.stop()
    with pytest.raises(SharedDown):
        await shared.draw([Draw("b", BUDGET, Ask("a"), 60)])
    redis.start()
    assert (await shared.draw([Draw("b", BUDGET, Ask("a"), 60)]))[0].left == 100
    await shared.aclose()


@pytest.mark.live
@needs_redis
async def test_a_change_of_roles_is_down_for_whoever_asks_and_nothing_else(redis, tmp_path):
    """A connection that is closed under its user made the library fail in ways of its own."""
    shared = open_shared(redis.url, tmp_path, wall, 0.2)
    told = []

    over = asyncio.Event()

    async def ask(number):
        while not over.is_set():
            try:
                await shared.claim(f"{number} {len(told)}", b"1", 60)
                told.append("good")
            except SharedDown:
                told.append("down")
            await asyncio.sleep(0.0007 * number)

    async def change_roles():
        for line in ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE") * 2:
            await asyncio.sleep(0.15)
            await asyncio.to_thread(redis.say, line)
        over.set()

    await asyncio.gather(change_roles(), *(ask(number) for number in range(20)))
    assert {*told} == {"good", "down"}
    await shared.put("after", b"1", 60)
    await shared.aclose()


async def test_what_is_in_force_never_goes_for_what_is_much(tmp_path, monkeypatch):
    """Pools of sessions go when there are too many, and cached replies: no rate, no budget of a
    day, no claim of a request under way."""
    monkeypatch.setattr("gateway.shared.file.MOST", 300)
    monkeypatch.setattr("gateway.shared.file._EVERY", 2)
    shared = FileShared(tmp_path / "x.shared", wall, 1.0)
    in_force = [
        Draw("key:a:rpm", RATE, Ask("a", want=100, least=1), 5),
        Draw("key:a:concurrency", SLOTS, Ask("a", want=3, least=1), 5),
        Draw("key:a:usd:2026-11-26", BUDGET, Ask("a", want=100, least=1), 5),
    ]
    await shared.draw(in_force)
    claim = idempotency._UNDER_WAY + b"x" * 40
    await shared.claim("once:under-way", claim, 5)
    await shared.put("once:done", idempotency._DONE + b"x" * 40, 60)
    for batch in range(4):
        sessions = (f"key:b:usd:session {batch} {number}" for number in range(200))
        await shared.draw([Draw(name, BUDGET, Ask("b", want=1, least=1), 60) for name in sessions])
    for number in range(400):
        await shared.put(f"reply:{number}", b"x", 60)
    found = await shared.draw([replace(each, ask=Ask("c", want=1, least=1)) for each in in_force])
    assert [each.granted for each in found] == [0, 0, 0]
    assert await shared.get("once:under-way") == claim
    assert await shared.get("once:done") is not None
    rows = sqlite3.connect(tmp_path / "x.shared").execute
    counts = [
        rows(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 (two names of ours)
        for table in ("pool", "kept")
    ]
    assert [200 < count <= 501 for count in counts] == [True, True], counts
    await shared.aclose()
