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
