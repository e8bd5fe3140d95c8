"""What takes longer than a test may: `pytest -m slow tests/faults/test_slow_faults.py`."""

from __future__ import annotations

import asyncio
import time

import pytest
from faults.rig import rigged

pytestmark = pytest.mark.slow
RATE, SECONDS, ILL, HEALED = 50, 24.0, 2.0, 12.0


async def test_one_of_two_deployments_fails_half_its_calls(tmp_path, record_property):
    """Clients see over 99.9 %, retries stay in their budget, it is ejected within 5 s, and taken
    back within 10 s of healing."""
    async with rigged(tmp_path, route={"tiers": ["small"]}, at=["near", "far"]) as rig:
        began, tasks, ejected, back = time.perf_counter(), [], None, None
        step = 0
        while (now := time.perf_counter() - began) < SECONDS:
            if step == round(ILL * RATE):
                rig.script({"fault": "500", "chance": 0.5}, at="near")
            if step == round(HEALED * RATE):
                rig.script(at="near")
                seen = len(rig.near.lines())
            if ejected is None and await rig.metric("upstream_ejected", upstream="near"):
                ejected = now - ILL
            if step > HEALED * RATE and back is None and len(rig.near.lines()) > seen + 5:
                back = now - HEALED
            tasks.append(asyncio.create_task(rig.ask()))
            step += 1
            await asyncio.sleep(max(0.0, step / RATE - (time.perf_counter() - began)))
        replies = [await task for task in tasks]
        failed = sum(each.status != 200 for each in replies)
        made = await rig.metric("upstream_retries_total", outcome="made")
        told = f"{len(replies)} requests, {failed} failed, {made:.0f} retries, {ejected}, {back}"
        record_property("figures", told)
        assert failed <= 0.001 * len(replies), told
        assert made <= 0.2 * len(replies) + SECONDS + 11
        assert (ejected or 99) <= 5.0, told
        assert (back or 99) <= 10.0, told


async def driven(rig, rate, seconds, **fields):
    """Requests at fixed times; returns how many there were and how many failed."""
    began, tasks = time.perf_counter(), []
    while len(tasks) < rate * seconds:
        tasks.append(asyncio.create_task(rig.ask(**fields)))
        await asyncio.sleep(max(0.0, len(tasks) / rate - (time.perf_counter() - began)))
    replies = await asyncio.gather(*tasks)
    return len(tasks), sum(each.status != 200 for each in replies)


async def test_one_of_two_deployments_hangs_from_the_start(tmp_path, record_property):
    """It gets a few calls in the whole time, though clients have no more time than two seconds
    where its time-out is twenty; and nobody else notices."""
    around = {"timeouts": {}}
    route = {"tiers": ["small"]}
    async with rigged(tmp_path, around=around, route=route, at=["near", "far"]) as rig:
        rig.script({"fault": "hang"}, at="near")
        asked, failed = await driven(rig, 20, 25.0, x_waterfall_deadline="2s")
        ejected = await rig.metric("upstream_ejections_total", upstream="near")
        there = len(rig.near.lines())
        told = f"{asked} requests, {failed} failed, {there} there, ejected {ejected:.0f} times"
        record_property("figures", told)
        assert failed <= there <= 0.03 * asked, told
        assert ejected >= 2, told


@pytest.mark.parametrize("fault", ["403", "404,code=model_not_found", "401", "hang"])
async def test_one_of_two_deployments_refuses_or_hangs_in_half(tmp_path, record_property, fault):
    """What it refuses is made at the other one: no client hears of it. What hangs is not, for it
    may be at work: its time-out is told."""
    around = {"timeouts": {"first_token": "1s"}, "breaker": {}}
    more = {"route": {"tiers": ["small"]}, "at": ["near", "far"], "works": False}
    async with rigged(tmp_path, around=around, **more) as rig:
        rig.script({"fault": fault, "chance": 0.5}, at="near")
        asked, failed = await driven(rig, 50, 12.0)
        told = f"{fault}: {asked} requests, {failed} failed, {len(rig.near.lines())} there"
        record_property("figures", told)
        assert failed <= (0.02 * asked if fault == "hang" else 0), told
