"""Gateways of several workers, and who asks them."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import psutil
from api.serving import CHAT, LIMIT, ask_for, config
from app.serving import until
from prometheus_client.parser import text_string_to_metric_families

MANY = 32  # connections: that all of them meet one of two workers is one chance in a billion


def two(**changes):
    return config(server__workers=2, **changes)


def workers_of(it):
    """The workers, as the operating system knows them."""
    return psutil.Process(it.child.pid).children()


async def gone(workers):
    """Wait until none of them is left; one that has ended may still be its parent's to bury."""
    await until(lambda: not [w for w in workers if w.is_running() and w.status() != "zombie"])


async def eventually(condition):
    async with asyncio.timeout(LIMIT):
        while not await condition():  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.05)


def samples(page):
    return {
        (sample.name.removeprefix("waterfall_"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


@contextlib.asynccontextmanager
async def connections(it, count=MANY):
    """Clients of one connection each, which they keep."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(httpx.AsyncClient(base_url=it.url, timeout=LIMIT))
            for _ in range(count)
        ]


async def thresholds(clients):
    """Ask once on each connection; return the thresholds that were in force."""
    answers = await asyncio.gather(*(client.post(CHAT, json=ask_for()) for client in clients))
    assert {answer.status_code for answer in answers} == {200}
    return {answer.headers["x-waterfall-threshold"] for answer in answers}


class Admin:
    """The admin listener of a gateway; every page of metrics that was read is kept."""

    def __init__(self, it):
        headers = {"authorization": f"Bearer {it.token}"}
        self.client = httpx.AsyncClient(base_url=it.admin_url, timeout=LIMIT, headers=headers)
        self.pages = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.client.aclose()

    async def set(self, threshold, route="waterfall"):
        sent = {"route": route, "threshold": threshold}
        return await self.client.put("/admin/threshold", json=sent)

    async def reload(self, **headers):
        return await self.client.post("/admin/reload", headers=headers)

    async def restart(self):
        return await self.client.post("/admin/restart", timeout=4 * LIMIT)

    async def metrics(self):
        self.pages.append(samples((await self.client.get("/metrics")).text))
        return self.pages[-1]

    async def replaced(self, count):
        """Wait until so many workers were replaced."""

        async def holds():
            page = await self.metrics()
            return (page["worker_restarts_total",], page["workers",]) == (count, 2)

        await eventually(holds)
