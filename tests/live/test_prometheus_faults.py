"""Alerts of a disk that is full, of money, and of what stands around an upstream, each caused."""

from __future__ import annotations

import asyncio
import hashlib

import httpx
import psutil
import pytest
from api.serving import CHAT, ask_for, config
from app.passing import providing
from app.serving import Process
from live.prometheus import LIMIT, found, free_port, watching

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

CAUSED = {
    "WaterfallBudgetSpent",
    "WaterfallCallsUnmarked",
    "WaterfallCredentialsSetAside",
    "WaterfallLedgerLoss",
    "WaterfallLogLinesLost",
    "WaterfallSharedStateDown",
    "WaterfallUnpriced",
    "WaterfallUpstreamFull",
}
MARKS = 512
"""How many open calls fit the file of marks before it has to grow."""
SLOWLY = {"simulate": "slow_first,seconds=2"}


def entry(name, **bound):
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"name": name, "hash": f"sha256:{digest}", **bound}


def refused(url):
    """Keys with too little money, a narrow upstream, one that takes no key, one without a price."""
    simulated = {"kind": "simulated", "first_token": 0, "per_token": 0}
    document = config(
        upstreams__narrow={**simulated, "concurrency": 1, "queue": {"length": 1, "wait": "100ms"}},
        upstreams__locked=simulated,
        upstreams__far={"base_url": url},
        passthrough={"moderations": "far"},
        keys=[entry("rich"), entry("poor", limits={"budget_usd": {"day": 0.0000001}})],
    )
    price = {"input": 1, "output": 1}
    for name in ("narrow", "locked"):
        document["tiers"][name] = {"upstream": name, "model": name, "price": price}
        document["routes"][f"by-{name}"] = {"tiers": [name]}
    return document


def diskless():
    """One process, without a bound on calls, whose limits are kept where nobody answers."""
    return config(
        upstreams__sim__concurrency="off",
        tiers__small__limits={"rpm": 1_000_000},
        shared={"url": f"redis://127.0.0.1:{free_port()}/0"},
    )


async def ask(it, count=1, key="rich", path=CHAT, **body):
    """Ask so many times at once; return the answers' statuses."""
    many = httpx.Limits(max_connections=None)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=it.url, timeout=LIMIT, limits=many, headers=headers
    ) as client:
        answers = await asyncio.gather(*(client.post(path, json=body) for _ in range(count)))
    return {answer.status_code for answer in answers}


async def test_what_a_disk_a_purse_and_an_upstream_can_cause_is_caused(tmp_path):
    found("prometheus")
    folders = [tmp_path / name for name in ("refused", "diskless")]
    for folder in folders:
        folder.mkdir()
    async with (
        providing() as (_, url),
        Process(folders[0], refused(url)) as it,
        Process(folders[1], diskless()) as full,
    ):
        await asyncio.gather(it.ready(), full.ready())
        async with watching(tmp_path, it, full) as prometheus:
            await prometheus.scraped(2)
            psutil.Process(full.child.pid).rlimit(psutil.RLIMIT_FSIZE, (0, 0))
            await asyncio.gather(
                ask(full, MARKS + 100, **ask_for("small", **SLOWLY)),
                ask(it, 20, **ask_for("by-narrow", **SLOWLY)),
                ask(it, 4, **ask_for("by-locked", simulate="status,status=401")),
                ask(it, 2, key="poor", **ask_for()),
                ask(it, 2, path="/v1/moderations", model="nobody-priced-it", input="a"),
            )
            missing = set(CAUSED)

            async def all_fire():
                missing.difference_update(await prometheus.firing())
                return not missing

            try:
                await prometheus.until(all_fire)
            except TimeoutError:
                pytest.fail(f"did not fire: {sorted(missing)}")
            assert await prometheus.broken() == []
