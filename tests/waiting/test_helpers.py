"""Processes for a user's function: how many, when they are replaced, and that none is left."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.waiting import helpers as pool
from gateway.waiting.function import UserFunction
from gateway.waiting.guard import Endless, Raised, Unusable
from gateway.waiting.helper import NotFound

MODULE = """
import os, time
from pathlib import Path

HERE = Path(__file__).parent
if (HERE / "broken").exists():
    raise ValueError("broken")
with (HERE / "starts").open("a") as told:
    told.write("x")


def pid(wait=0.0):
    time.sleep(wait)
    return os.getpid()


def die():
    os._exit(3)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "helped.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
async def calling(folder):
    made = []

    async def call(name, most=2):
        made.append(await asyncio.to_thread(UserFunction, "helped", name, most))
        return made[-1]

    yield call
    for each in made:
        await each.aclose()


def starts(folder):
    return len((folder / "starts").read_text())


async def test_one_is_enough_where_calls_follow_each_other(folder, calling):
    function = await calling("pid")
    assert len({await function() for _ in range(5)}) == starts(folder) == 1


async def test_no_more_than_there_may_be(folder, calling):
    function = await calling("pid")
    assert len(set(await asyncio.gather(*(function(0.05) for _ in range(12))))) == 2
    assert starts(folder) == 2


async def test_what_waits_is_bounded(calling, monkeypatch):
    monkeypatch.setattr(pool, "WAITING", 2)
    function = await calling("pid", 1)
    asked = [asyncio.create_task(function(0.1)) for _ in range(4)]
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in ended] == [int, int, int, Endless]


async def test_a_turn_that_was_given_up_goes_to_the_next(calling):
    function = await calling("pid", 1)
    first = asyncio.create_task(function(0.1))
    await asyncio.sleep(0.02)
    second, third = (asyncio.create_task(function()) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    assert await first == await third


async def test_one_that_was_ended_while_idle_is_replaced_unnoticed(calling):
    function = await calling("pid", 1)
    before = await function()
    helper = function._helpers._idle[0]
    helper.kill()
    while helper.alive:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert await function() != before


async def test_what_keeps_dying_is_started_ever_more_slowly(folder, calling):
    function = await calling("die", 1)
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        with pytest.raises(Raised):
            await function()
    assert starts(folder) <= 6, "at once, then after .4, .8, 1.6 ... seconds"


async def test_where_none_can_be_started_it_says_so_and_tries_again(folder, calling):
    function = await calling("die", 1)
    (folder / "broken").touch()
    with pytest.raises(Raised):
        await function()
    with pytest.raises(OSError, match="it cannot be started: importing helped raised"):
        await function()
    (folder / "broken").unlink()
    async with asyncio.timeout(20):
        while True:
            try:
                await function()
            except OSError:
                await asyncio.sleep(0.05)
            except Raised:
                return


async def test_what_cannot_be_told(calling):
    deep: list[object] = []
    for _ in range(2_000):
        deep = [deep]
    function = await calling("pid")
    with pytest.raises(Unusable):
        await function(deep)
    with pytest.raises(Unusable):
        await function("\ud800")
    assert await function()


def test_an_import_that_takes_too_long_or_ends_the_process(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("gateway.waiting.helper.START_LIMIT", 0.2)
    (tmp_path / "endless.py").write_text("while True: pass")
    with pytest.raises(NotFound, match="took over"):
        UserFunction("endless", "ok")
    monkeypatch.undo()
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "leaving.py").write_text("import os; os._exit(0)")
    with pytest.raises(NotFound, match="importing leaving ended the process"):
        UserFunction("leaving", "ok")


async def test_what_is_closed_before_it_was_asked_leaves_nothing(folder):
    function = await asyncio.to_thread(UserFunction, "helped", "pid")
    helper = function._helpers._idle[0]
    function.close()
    assert not helper.alive
