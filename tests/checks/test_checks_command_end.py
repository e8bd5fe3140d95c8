"""A program that is killed is seen to its end before its check is closed."""

from __future__ import annotations

import asyncio

import psutil

from gateway.checks.command import Command
from gateway.core.check_spec import CommandCheck


async def test_so_is_one_that_was_only_being_started():
    before = set(psutil.Process().children())
    command = Command("slow", CommandCheck(run=("sleep", "60")))
    for moment in range(20):  # of its start, whatever it does then
        running = asyncio.create_task(command._run(b"said"))
        for _ in range(moment):
            await asyncio.sleep(0)
        await asyncio.sleep(0.001 * moment)
        running.cancel()
        await asyncio.wait([running])
    async with asyncio.timeout(20):
        await command.aclose()
    assert set(psutil.Process().children()) <= before


async def test_what_is_killed_is_buried_before_its_check_is_closed():
    before = set(psutil.Process().children())
    command = Command("slow", CommandCheck(run=("sleep", "60")))
    running = asyncio.create_task(command._run(b"said"))
    async with asyncio.timeout(20):
        while not (started := set(psutil.Process().children()) - before):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])
        await command.aclose()
    assert not [each for each in started if each.is_running()]
