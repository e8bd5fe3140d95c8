"""How long the gateway takes from its command to ready, and how much memory it has then.

With the default scorer's artefact loaded, as a new user's configuration has it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.upstreams.http1 import Pool
from loadtests.harness import Answer, Gateway, Proof, ask, percentile, spread, upstream

LIMIT = 2.0
"""Seconds from the command to /health/ready."""
MEMORY = 150
"""MiB with the scorer loaded."""


async def prove(folder: Path, starts: int = 10, *, strict: bool = True) -> Proof:
    """Run it. Without `strict` the promise is only that it starts and answers at all."""
    seconds, bytes_at_rest = [], []
    async with upstream(folder, "sim") as provider:
        document = {
            "upstreams": {"sim": {"kind": "openai", "base_url": f"{provider.url}/v1"}},
            "tiers": {
                name: {"upstream": "sim", "model": name, "price": {"input": 1, "output": 2}}
                for name in ("small", "large")
            },
            "routes": {"waterfall": {"tiers": ["small", "large"]}},
        }
        served = Gateway(folder, document)
        try:
            for _ in range(starts):
                seconds.append(await served.start())
                await asyncio.sleep(0.1)
                bytes_at_rest.append(served.running.rss())
                answers = await _some(served)
                busy = served.running.rss()
                await served.stop()
        finally:
            if served.process is not None and served.process.child.poll() is None:
                served.process.kill()
    proof = Proof("start")
    median, most = percentile(seconds, 0.5), max(seconds)
    proof.figures["start to ready"] = f"median {median:.2f} s, max {most:.2f} s of {starts}"
    proof.figures["resident memory when ready"] = f"{max(bytes_at_rest) / 2**20:.0f} MiB"
    proof.figures["resident memory after 200 requests"] = f"{busy / 2**20:.0f} MiB"
    proof.promise("it answers once it is ready", held=all(a.status == 200 for a in answers))
    if strict:
        proof.promise(f"ready within {LIMIT:g} s of its command (median)", held=median < LIMIT)
        proof.promise(f"at most {MEMORY} MiB with the scorer loaded", held=busy < MEMORY * 2**20)
    return proof


async def _some(served: Gateway) -> list[Answer]:
    pool = Pool(served.url)
    bodies = [
        {"model": "waterfall", "messages": [{"role": "user", "content": f"Say {number}."}]}
        for number in range(200)
    ]

    async def one(body: dict[str, object]) -> Answer:
        return await ask(pool, body)

    try:
        return await spread(bodies, 16, one)
    finally:
        await pool.aclose()
