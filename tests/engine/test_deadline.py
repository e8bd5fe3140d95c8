"""Deadlines by one timer: as `asyncio.timeout` has them, whoever else cancels."""

from __future__ import annotations

import asyncio

import pytest

from gateway.engine.deadline import Deadlines

LONG = 30.0


async def waited(deadlines, seconds, lift=False):
    """How a task ends that would wait for ever, and when, in seconds from its beginning."""
    began = asyncio.get_running_loop().time()
    deadline = deadlines.within(seconds)
    try:
        with deadline:
            if lift:
                deadline.lift()
            await asyncio.sleep(LONG)
    except TimeoutError:
        return "late", asyncio.get_running_loop().time() - began
    except asyncio.CancelledError:
        return "cancelled", asyncio.get_running_loop().time() - began
    return "done", LONG


async def test_each_passes_at_its_own_time_whichever_came_first():
    deadlines = Deadlines()
    times = (0.06, 0.02, 0.04, -1.0)
    ends = await asyncio.gather(*(waited(deadlines, each) for each in times))
    for (how, after), due in zip(ends, times, strict=True):
        assert how == "late"
        assert due - 0.005 <= after < LONG / 10


async def test_what_is_over_or_lifted_is_not_cut_off():
    deadlines = Deadlines()
    with deadlines.within(0.01):
        pass
    lifted = asyncio.create_task(waited(deadlines, 0.01, lift=True))
    assert await waited(deadlines, 0.03) == ("late", pytest.approx(0.03, abs=LONG / 10))
    assert not lifted.done()
    lifted.cancel()
    assert (await lifted)[0] == "cancelled"


async def test_a_cancel_of_anothers_passes_through():
    deadlines = Deadlines()
    task = asyncio.create_task(waited(deadlines, LONG))
    await asyncio.sleep(0)
    task.cancel()
    assert (await task)[0] == "cancelled"


async def test_an_error_of_its_own_is_its_own_even_late():
    deadlines = Deadlines()

    async def stubborn():
        with deadlines.within(0.01):
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                raise KeyError("mine") from None

    with pytest.raises(KeyError):
        await stubborn()
    assert asyncio.current_task().cancelling() == 0


async def test_a_timer_is_not_set_for_each(monkeypatch):
    deadlines, loop, calls = Deadlines(), asyncio.get_running_loop(), []
    real = loop.call_at
    monkeypatch.setattr(loop, "call_at", lambda *all: calls.append(all) or real(*all))
    for _ in range(50):
        with deadlines.within(LONG):
            pass
    assert len(calls) == 1
