"""The fault matrix, rows of one tier at several deployments, one of which is ill."""

from __future__ import annotations

import asyncio

import pytest
from faults.rig import rigged

ALONE = {"at": ["near", "far"], "route": {"tiers": ["small"]}}


async def test_f10_one_of_two_never_speaks(tmp_path):
    """given next to nothing, from the start on, and sent off, though its clients leave before its
    time-out; and a reload does not begin anew with it"""
    async with rigged(tmp_path, around={"timeouts": {}}, **ALONE) as rig:
        rig.script({"fault": "hang"}, at="near")
        tasks = []

        def ask():
            tasks.append(asyncio.create_task(rig.ask(x_waterfall_deadline="1s")))

        while not await rig.metric("upstream_ejections_total", upstream="near"):
            ask()
            await asyncio.sleep(0.01)
            assert len(tasks) < 400
        assert await rig.gateway.reload()
        for _ in range(40):
            ask()
        failed = [each for each in await asyncio.gather(*tasks) if each.status != 200]
        assert 2 <= len(rig.near.lines()) <= 9
        assert len(failed) <= 9 < len(tasks) / 4


async def test_f25_a_flapping_deployment(tmp_path):
    """clients see over 99 %, retries stay in their budget, and the last one is never sent off"""
    async with rigged(tmp_path, **ALONE) as rig:
        rig.script({"fault": "500", "chance": 0.5}, at="near")
        replies = []
        while not await rig.metric("upstream_ejections_total", upstream="near"):
            replies += [await rig.ask() for _ in range(20)]
            assert len(replies) < 1000
        assert sum(each.status != 200 for each in replies) <= 1
        made = await rig.metric("upstream_retries_total", outcome="made")
        assert 1 <= made <= 0.2 * len(replies) + 12
        rig.script({"fault": "500", "chance": 0.5}, at="far")
        await asyncio.gather(*(rig.ask() for _ in range(60)))
        ejected = await rig.metric("upstream_ejected")
        assert ejected <= 1


@pytest.mark.parametrize("refusal", ["401", "403", "404,code=model_not_found"])
async def test_f25_one_of_two_refuses_half(tmp_path, refusal):
    """made at the other one: no client hears of it, and it is sent off or set aside; what both
    refuse is told, and held against neither"""
    async with rigged(tmp_path, around={"breaker": {}}, works=False, **ALONE) as rig:
        rig.script({"fault": refusal, "chance": 0.5}, at="near")
        replies, gone = [], 0.0
        while not gone:
            replies += [await rig.ask() for _ in range(20)]
            assert len(replies) < 1000
            gone = await rig.metric("upstream_ejections_total", upstream="near")
            gone += await rig.metric("credentials_set_aside", upstream="near")
        assert {each.status for each in replies} == {200}
        assert (await rig.metric("credentials_set_aside", upstream="near") == 1) or refusal != "401"
        if refusal == "403":
            rig.script({"fault": refusal}, at="near")
            rig.script({"fault": refusal}, at="far")
            assert {(await rig.ask()).status for _ in range(6)} == {502}
            assert await rig.metric("credentials_set_aside") == 0
