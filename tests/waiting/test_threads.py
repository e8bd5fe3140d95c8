"""A few threads, each a daemon: how many there are, and what waits for them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.waiting import threads
from gateway.waiting.threads import Taken, Threads


async def test_threads_are_few_and_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(threads, "WAITING", 3)
    pool, gate = Threads(2), threading.Event()
    running = [asyncio.create_task(pool.run(gate.wait)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Taken):
        await pool.run(gate.wait)
    gate.set()
    assert await asyncio.gather(*running) == [True] * 5
    assert await pool.run(lambda: 7) == 7
    assert len([each for each in threading.enumerate() if each.name == "function"]) <= 2
    pool.close()


async def test_work_that_was_given_up_before_it_began_is_not_done():
    pool, gate, done = Threads(1), threading.Event(), []
    first = asyncio.create_task(pool.run(gate.wait))
    second = asyncio.create_task(pool.run(lambda: done.append(1)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    gate.set()
    await first
    await pool.run(lambda: None)
    pool.close()
    assert done == []
