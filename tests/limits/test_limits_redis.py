"""Three gateways, three processes, one real Redis: limits hold over all of them, and no request
fails because of what becomes of the Redis."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time

import httpx
import pytest
from api.serving import CHAT, ask_for, config
from app.serving import Process
from shared.redis_server import needs_redis, redis

__all__ = ["redis"]
pytestmark = [pytest.mark.live, needs_redis]
KEYS = {"rpm": {"rpm": 60}, "day": {"budget_usd": {"day": 0.002}}, "wide": {"rpm": 60_000}}
SECOND = 1.0


def digest(name):
    return "sha256:" + hashlib.sha256(f"sk-{name}".encode()).hexdigest()


def document(redis):
    keys = [{"name": name, "hash": digest(name), "limits": own} for name, own in KEYS.items()]
    changes = {"shared": {"url": redis.url}, "routes__waterfall__fall_down": False}
    return config(keys=keys, server__log="json", **changes)


@contextlib.asynccontextmanager
async def three(tmp_path, redis):
    async with contextlib.AsyncExitStack() as stack:
        served = []
        for name in "abc":
            (tmp_path / name).mkdir()
            served.append(
                await stack.enter_async_context(Process(tmp_path / name, document(redis)))
            )
        for each in served:
            await each.ready()
        yield served


async def ask(client, served, key):
    headers = {"authorization": f"Bearer sk-{key}"}
    body = ask_for(max_tokens=12)
    return await client.post(served.url + CHAT, json=body, headers=headers)


async def test_three_processes_and_what_becomes_of_their_redis(tmp_path, redis):
    # A client that is short of CPU must not use again what the server has closed as idle.
    limits = httpx.Limits(max_connections=60, max_keepalive_connections=0)
    async with (
        three(tmp_path, redis) as served,
        httpx.AsyncClient(timeout=20, limits=limits, trust_env=False) as client,
    ):
        await they_share_a_rate(client, served)
        await they_share_a_budget(client, served)
        await nothing_fails(client, served, redis)


async def they_share_a_rate(client, served):
    began = time.perf_counter()
    found = await asyncio.gather(*(ask(client, served[n % 3], "rpm") for n in range(150)))
    passed = sum(each.status_code == 200 for each in found)
    assert {each.status_code for each in found} == {200, 429}
    refilled = time.perf_counter() - began
    late = sum([await figure(client, each, "shared_failures_total") for each in served])
    assert 60 - 3 * 3 <= passed <= 60 + refilled + 3 * late, "exact to a block of three each"


async def they_share_a_budget(client, served):
    found = await asyncio.gather(*(ask(client, served[n % 3], "day") for n in range(200)))
    good = [each for each in found if each.status_code == 200]
    spent = sum(float(each.headers["x-waterfall-cost-usd"]) for each in good)
    assert {each.status_code for each in found} == {200, 429}
    assert 0.002 - 3 * 0.0003 <= spent <= 0.002


async def nothing_fails(client, served, redis):
    """A hundred a second while it is stopped, frozen, emptied and started anew."""
    statuses, tasks = [], []

    async def one(number):
        statuses.append((await ask(client, served[number % 3], "wide")).status_code)

    async def load():
        for number in range(10_000):
            tasks.append(asyncio.create_task(one(number)))
            await asyncio.sleep(0.01)

    loading = asyncio.create_task(load())
    await asyncio.sleep(SECOND)
    redis.freeze()
    await asyncio.sleep(2 * SECOND)
    redis.thaw()
    await asyncio.sleep(SECOND)
    redis.say("FLUSHALL")
    await asyncio.sleep(SECOND)
    redis.stop()
    async with asyncio.timeout(15 * SECOND):  # a moment, but for whoever is short of CPU
        while not await given_up(client, served):  # noqa: ASYNC110
            await asyncio.sleep(SECOND / 4)
    redis.start()
    await asyncio.sleep(3 * SECOND)
    loading.cancel()
    await asyncio.gather(*tasks)
    assert set(statuses) == {200}
    assert len(statuses) > 500
    assert [await figure(client, each, "shared_up") for each in served] == [1, 1, 1]


async def given_up(client, served):
    """Has each of them failed, frozen and stopped, and does it say so?"""
    failed = [await figure(client, each, "shared_failures_total") for each in served]
    up = [await figure(client, each, "shared_up") for each in served]
    return min(failed) >= 2 and up == [0, 0, 0]


async def figure(client, served, name):
    page = (await client.get(f"{served.admin_url}/metrics")).text
    (line,) = [each for each in page.splitlines() if each.startswith(f"waterfall_{name} ")]
    return float(line.rpartition(" ")[2])
