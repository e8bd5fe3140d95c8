"""A send that is begun at once, and waited for only where it has to wait."""

from __future__ import annotations

import asyncio

import pytest

from gateway.api.sending import begun


async def test_what_never_waits_is_done_at_once():
    did = []

    async def work():
        did.append(1)

    assert begun(work()) is None
    assert did == [1]


async def test_what_waits_goes_on_where_it_is_awaited():
    did, turns = [], [asyncio.Event(), asyncio.Event()]

    async def work():
        for turn in turns:
            did.append("waits")
            await turn.wait()
        did.append("done")

    left = begun(work())
    assert did == ["waits"]
    waiting = asyncio.create_task(_await(left))
    for turn in turns:
        await asyncio.sleep(0)
        turn.set()
    await waiting
    assert did == ["waits", "waits", "done"]


async def test_what_had_to_wait_no_longer_is_just_finished():
    turn, did = asyncio.Event(), []

    async def work():
        await turn.wait()
        did.append("done")

    left = begun(work())
    turn.set()
    await left
    assert did == ["done"]


async def test_a_failure_is_told_at_once_or_where_it_is_awaited():
    async def fails(first):
        if not first:
            await asyncio.sleep(0)
        raise LookupError

    with pytest.raises(LookupError):
        begun(fails(True))
    left = begun(fails(False))
    with pytest.raises(LookupError):
        await left


@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_cancel_reaches_what_waits(stubborn):
    ended, again = [], asyncio.Event()

    async def work():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            if not stubborn:
                raise
            await again.wait()
            ended.append("done")

    task = asyncio.create_task(_await(begun(work())))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    again.set()
    if stubborn:
        await task
        assert ended == ["cancelled", "done"]
    else:
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["cancelled"]


async def _await(left):
    await left
