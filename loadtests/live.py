"""A gateway of two workers while it serves: what each of them says, and what befalls them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson
import psutil
from prometheus_client.parser import text_string_to_metric_families

from gateway.upstreams.http1 import HttpError, Pool
from loadtests.harness import PATIENT, Gateway, ProofError

MANY = 32
"""New connections: that all of them meet one of two workers is one chance in a billion."""
PATIENCE = 20.0
"""Seconds: a ceiling for hangs, not a promise."""
KEY = "proof"
"""The admin listener's, as the configuration must have it."""
_JSON = (b"content-type", b"application/json")


def body(route: str, text: str) -> dict[str, Any]:
    """Ask a route as cheaply as may be."""
    return {"model": route, "messages": [{"role": "user", "content": text}], "max_tokens": 1}


@dataclass(frozen=True, slots=True)
class Look:
    """What one worker says of a route, without its being counted as traffic."""

    threshold: float
    difficulty: float
    basis: str
    reference: str
    scores: int = 0


async def look(served: Gateway, route: str) -> Look:
    """Ask whichever worker takes a new connection. Raises HttpError when it goes away."""
    pool, asked = Pool(served.url), orjson.dumps(body(route, "What is the entropy of a tensor?"))
    try:
        async with pool.exchange("POST", "/v1/route", (_JSON,), asked, PATIENT) as exchange:
            told = orjson.loads(await exchange.read_all())
    finally:
        await pool.aclose()
    tuning = {name: told["tuning"][name] for name in ("basis", "reference", "scores")}
    return Look(told["threshold"], told["difficulty"], **tuning)


async def looks(served: Gateway, route: str) -> set[Look]:
    """Ask all workers."""
    return {await look(served, route) for _ in range(MANY)}


async def agreed(served: Gateway, route: str, wanted: Callable[[Look], bool]) -> float:
    """Wait until all workers say the same, and what is wanted; return the seconds it took."""
    began = time.monotonic()
    while time.monotonic() < began + PATIENCE:
        took = time.monotonic() - began
        with suppress(HttpError):
            found = await looks(served, route)
            if len(found) == 1 and all(map(wanted, found)):
                return took
        await asyncio.sleep(0.02)
    raise ProofError(f"the workers never agreed on route {route}: {found}")


async def samples(served: Gateway) -> dict[tuple[str, str], float]:
    """Read the metrics that at most a route distinguishes."""
    families = text_string_to_metric_families(await served.metrics())
    return {
        (sample.name.removeprefix("waterfall_"), sample.labels.get("route", "")): sample.value
        for family in families
        for sample in family.samples
        if set(sample.labels) <= {"route"}
    }


async def look_on(served: Gateway, route: str, seen: list[tuple[float, Look]]) -> None:
    """Look at a route over and over, until cancelled, and note when."""
    while True:
        with suppress(HttpError):
            seen.append((time.monotonic(), await look(served, route)))
        await asyncio.sleep(0.03)


async def edit(served: Gateway, route: str) -> None:
    """Change something else of a route, as an editor writes a file, and wait for the reload."""
    document = orjson.loads(served.config.read_bytes())
    document["routes"][route]["deadline"] = "50s"
    changed = served.config.with_suffix(".new")
    changed.write_bytes(orjson.dumps(document))
    changed.chmod(0o600)
    async with _reload(served):
        changed.replace(served.config)


async def hang_up(served: Gateway) -> None:
    """Ask for a reload by signal, and wait for it."""
    async with _reload(served):
        os.kill(served.running.pid, signal.SIGHUP)


@asynccontextmanager
async def _reload(served: Gateway) -> AsyncIterator[None]:
    """Wait until both workers say that they have reloaded. Raises ProofError."""
    before = served.said().count("is in force")
    yield
    until = time.monotonic() + PATIENCE
    while served.said().count("is in force") < before + 2:
        if time.monotonic() > until:
            raise ProofError("the workers never reloaded")
        await asyncio.sleep(0.02)


async def kill_one(served: Gateway) -> None:
    """Kill one worker as the kernel would, and wait for the one that follows it."""
    before = (await samples(served))["worker_restarts_total", ""]
    psutil.Process(served.running.pid).children()[0].kill()
    await replaced(served, int(before) + 1)


async def replaced(served: Gateway, count: int) -> float:
    """Wait until so many workers were replaced, and both serve; return the seconds it took."""
    began = time.monotonic()
    until = began + PATIENCE
    while time.monotonic() < until:
        shown = await samples(served)  # nothing, where the worker that was asked has just gone
        counts = (shown.get((name, "")) for name in ("worker_restarts_total", "workers"))
        if tuple(counts) == (count, 2):
            return time.monotonic() - began
        await asyncio.sleep(0.05)
    raise ProofError("no worker followed the one that was killed")


async def put(served: Gateway, route: str, threshold: float) -> None:
    """Set a route's threshold by hand."""
    pool = Pool(await served.running.says(r"admin on (\S+)"))
    headers = (_JSON, (b"authorization", b"Bearer " + KEY.encode()))
    wanted = orjson.dumps({"route": route, "threshold": threshold})
    try:
        async with pool.exchange("PUT", "/admin/threshold", headers, wanted, PATIENT) as exchange:
            if exchange.status != 200:
                raise ProofError((await exchange.read_all()).decode())
            await exchange.read_all()
    finally:
        await pool.aclose()
