"""Alerts of a ledger that is stuck and damaged, of traffic that changes, and of what serves it
badly, each caused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3

import httpx
import pytest
from api.serving import CHAT, ask_for, config
from app.serving import Process
from live.prometheus import LIMIT, found, watching

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

CAUSED = {
    "WaterfallDeploymentEjected",
    "WaterfallDrift",
    "WaterfallLedgerBehind",
    "WaterfallLedgerUnreadable",
    "WaterfallOverheadFastBurn",
    "WaterfallOverheadSlowBurn",
    "WaterfallPromiseLost",
}
LONG = [{"role": "user", "content": "Is this the same as that? " * 72_000}]
"""Two megabytes of a prompt: they take the gateway itself more than 10 ms, and cost less than what
is allowed for a request."""
SLOW = 280
"""Requests of these: over 14.4 % of all that are sent here."""
LABELLED = 40
"""Requests with labels: enough for a promise of 0.9."""
CHANGED = 600
"""Requests of one kind only: more than a window's least, and two fits."""


def served_badly():
    """A pair of deployments of which one fails, and a route that is to keep a promise."""
    simulated = {"kind": "simulated", "first_token": 0, "per_token": 0}
    alone = {"retries": "off", "breaker": "off"}
    document = config(
        server__workers=2,
        upstreams__ill={**simulated, **alone, "error_rate": 1},
        routes__promised={
            "tiers": ["small", "large"],
            "scorer": "default",
            "reference": "artefact",
            "threshold": {"target_quality": 0.9},
        },
        routes__paired={"tiers": ["pair"]},
    )
    price = {"input": 1, "output": 1}
    document["tiers"]["pair"] = {"upstream": ["sim", "ill"], "model": "twin", "price": price}
    return document


async def ask(client, count, **body):
    """Ask so many times, eight beside each other; return the answers."""
    numbers = iter(range(count))

    async def some():
        return [await client.post(CHAT, json=body) for _ in numbers]

    return [each for row in await asyncio.gather(*(some() for _ in range(8))) for each in row]


async def promise(client, prometheus):
    """Have a quality promised on what users say of both tiers, then send other traffic."""
    asked = ask_for("promised", messages=[{"role": "user", "content": "What is seven plus two?"}])
    for answer in await ask(client, LABELLED, **asked):
        told = {"request_id": answer.headers["x-request-id"], "score": 1.0, "label": "judge"}
        for tier in ("small", "large"):
            posted = await client.post("/v1/feedback", json={**told, "tier": tier})
            assert posted.is_success, posted.text

    async def promised():
        return await prometheus.query('waterfall_promise{route="promised"} == 1')

    await prometheus.until(promised)
    await ask(client, CHANGED, **asked)


async def serve_badly(client, firing):
    """Ask the pair until its bad half has been sent off too often."""
    while "WaterfallDeploymentEjected" not in firing:
        answers = await ask(client, 40, **ask_for("paired"))
        assert 200 in {answer.status_code for answer in answers}
        await asyncio.sleep(0.2)


async def stick(folder, client, firing):
    """Lock the ledger for as long as it takes to be told, and damage what waits meanwhile."""
    with contextlib.closing(sqlite3.connect(folder / "waterfall.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        await ask(client, 20, **ask_for())
        while "WaterfallLedgerBehind" not in firing:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.2)
        (waiting,) = folder.glob("*.spool/*.spool2")
        with waiting.open("r+b") as file:
            file.seek(-1000, os.SEEK_END)
            file.write(b"\0\0\0\0")
        db.execute("ROLLBACK")


async def test_what_a_ledger_and_other_traffic_can_cause_is_caused(tmp_path):
    found("prometheus")
    folders = [tmp_path / name for name in ("badly", "stuck")]
    for folder in folders:
        folder.mkdir()
    async with (
        Process(folders[0], served_badly()) as it,
        Process(folders[1], config()) as stuck,
    ):
        await asyncio.gather(it.ready(), stuck.ready())
        async with (
            watching(tmp_path, it, stuck) as prometheus,
            httpx.AsyncClient(base_url=it.url, timeout=LIMIT) as client,
            httpx.AsyncClient(base_url=stuck.url, timeout=LIMIT) as other,
        ):
            await prometheus.scraped(2)
            firing = set()

            async def all_fire():
                firing.update(await prometheus.firing())
                return firing >= CAUSED

            async def cause():
                answers = await ask(other, SLOW, **ask_for(messages=LONG, max_tokens=1))
                assert {answer.status_code for answer in answers} == {200}
                await asyncio.gather(
                    stick(folders[1], other, firing),
                    promise(client, prometheus),
                    serve_badly(client, firing),
                )

            causing = asyncio.create_task(cause())
            try:
                await prometheus.until(all_fire)
                await causing
            except TimeoutError:
                pytest.fail(f"did not fire: {sorted(CAUSED - firing)}")
            finally:
                causing.cancel()
            assert await prometheus.broken() == []
