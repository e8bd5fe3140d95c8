"""The line between supervisor and worker: both ask, and both hear of the other's end."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from api.serving import LIMIT

from gateway.core.errors import BadRequest
from gateway.launcher.channel import Channel, LineLost


@contextlib.asynccontextmanager
async def line(left=None, right=None):
    """Both ends of a line, each with its answers."""
    ends = socket.socketpair()
    one, two = [
        await Channel.over(end, answers)
        for end, answers in zip(ends, (left or {}, right or {}), strict=True)
    ]
    try:
        yield one, two
    finally:
        async with asyncio.timeout(LIMIT):
            await one.close()
            await two.close()


async def twice(given):
    return [given, given]


async def test_both_may_ask_at_once_and_anything_of_any_size():
    async with line({"twice": twice}, {"twice": twice}) as (one, two):
        large = "é" * 300_000
        answers = await asyncio.gather(
            *(end.ask("twice", given) for end in (one, two) for given in (1, None, {"a": large}))
        )
    assert answers == [[given, given] for given in (1, None, {"a": large})] * 2


async def test_a_slow_answer_holds_up_no_other():
    waiting = asyncio.Event()

    async def slow(_):
        await waiting.wait()
        return "slow"

    async with line({}, {"slow": slow, "twice": twice}) as (one, _):
        first = asyncio.create_task(one.ask("slow"))
        assert await one.ask("twice", 1) == [1, 1]
        assert not first.done()
        waiting.set()
        assert await first == "slow"


async def test_a_refusal_keeps_its_words():
    async def refuses(_):
        raise BadRequest("No route 'x'.", param="route")

    async with line({}, {"refuses": refuses}) as (one, _):
        with pytest.raises(BadRequest, match="No route 'x'") as caught:
            await one.ask("refuses")
    assert caught.value.param == "route"


async def test_a_failure_and_an_unknown_question_leave_the_line_up():
    async def fails(_):
        raise RuntimeError("broken")

    async with line({}, {"fails": fails, "twice": twice}) as (one, _):
        with pytest.raises(LineLost, match="RuntimeError: broken"):
            await one.ask("fails")
        with pytest.raises(LineLost, match="KeyError"):
            await one.ask("nothing")
        assert await one.ask("twice", 2) == [2, 2]


async def test_an_answer_that_comes_too_late_is_nobody_s():
    waiting = asyncio.Event()

    async def slow(given):
        await waiting.wait()
        return given

    async with line({}, {"slow": slow, "twice": twice}) as (one, _):
        with pytest.raises(LineLost, match=r"did not answer within 0\.01 s"):
            await one.ask("slow", "old", limit=0.01)
        waiting.set()
        assert await one.ask("slow", "new") == "new"


async def test_what_was_told_before_the_end_is_heard():
    heard = []

    async def news(given):
        heard.append(given)

    async with line({"news": news}) as (one, two):
        for number in range(100):
            two.tell("news", [number] * 1_000)
        await two.close()
        async with asyncio.timeout(LIMIT):
            await one.closed.wait()
        assert [each[0] for each in heard] == list(range(100))


async def test_who_waits_hears_that_the_other_has_gone():
    async def never(_):
        await asyncio.Event().wait()

    async with line({}, {"never": never}) as (one, two):
        asking = asyncio.create_task(one.ask("never"))
        await asyncio.sleep(0.01)
        await two.close()
        with pytest.raises(LineLost, match="has gone"):
            await asking
        with pytest.raises(LineLost, match="has gone"):
            await one.ask("never")
        one.tell("never")  # nobody hears it, and nothing breaks
