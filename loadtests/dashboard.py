"""What the dashboard takes over half a million requests: each question, the first paint, and what
it costs whoever is served meanwhile.

Every question is asked over HTTP of a real gateway whose ledger holds them, as the page asks; the
paint is that of a real browser (`npm --prefix gateway/dashboard/web ci`, Chromium).
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from gateway.store.ledgers import ledger_at
from gateway.store.rollups import roll_up
from gateway.upstreams.http1 import Pool
from loadtests.harness import ROOT, Answer, Gateway, Proof, ProofError, ask, gateway
from loadtests.made_up_ledger import DAY, START, make
from router_models.dashboard.answers import answer

WITHIN, PAINT = 0.3, 1.0
"""Seconds for a question (median), and to the first paint."""
WORK = 0.2
"""Seconds of CPU for a question (median), which a loaded machine changes little."""
KEY = "the-admin-key-of-this-proof"
ASKED = 15
QUESTIONS = {
    "money": {},
    "routing": {},
    "quality": {},
    "health": {},
    "requests": {},
    "requests, escalated": {"escalated": "true"},
    "what-if": {"route": "waterfall", "threshold": "moves"},
}
_PAINTED = """
import { createRequire } from "node:module";
const [web, browser, url] = process.argv.slice(2);
const { chromium } = createRequire(`${web}/package.json`)("playwright-core");
const it = await chromium.launch({ executablePath: browser, args: ["--no-sandbox"] });
const page = await it.newPage();
const found = [];
for (let n = 0; n < 5; n += 1) {
  await page.goto("about:blank");
  await page.goto(url);
  await page.waitForSelector("main h2");
  const paint = () => performance.getEntriesByName("first-contentful-paint")[0].startTime;
  found.push(await page.evaluate(paint));
}
await it.close();
console.log(JSON.stringify(found));
"""


async def prove(folder: Path, rows: int = 500_000, *, strict: bool = True) -> Proof:
    """Run it. Without `strict` the promise is only that every question is answered."""
    ledger = folder / "waterfall.db"
    await asyncio.to_thread(_make, ledger, rows)
    document = {
        "server": {"admin_key": KEY},
        "upstreams": {"sim": {"kind": "simulated", "first_token": 0, "per_token": 0}},
        "tiers": {
            name: {"upstream": "sim", "model": name, "price": {"input": 1, "output": 2}}
            for name in ("small", "large")
        },
        "routes": {"waterfall": {"tiers": ["small", "large"], "scorer": "rules"}},
    }
    proof = Proof("dashboard")
    proof.figures["ledger"] = f"{rows:,} requests of 30 days, {ledger.stat().st_size / 1e6:.0f} MB"
    worked = await asyncio.to_thread(_work, ledger)
    async with gateway(folder, document) as served:
        admin = await served.running.says(r"admin on (\S+)")
        took, failed = await _ask_all(admin)
        for name, (first, times) in took.items():
            proof.figures[f"`{name}`"] = (
                f"median {statistics.median(times) * 1e3:.0f} ms, most {max(times) * 1e3:.0f} ms "
                f"of {len(times)}; the first {first * 1e3:.0f} ms; "
                f"CPU {worked[name] * 1e3:.0f} ms"
            )
        alone = await _served(served, lambda: asyncio.sleep(0))
        watched = await _served(served, lambda: _look(admin))
        proof.figures["a request meanwhile, median"] = (
            f"{watched * 1e3:.2f} ms with a page that asks all the time, {alone * 1e3:.2f} without"
        )
        painted = await _paint(admin)
    proof.promise("every question is answered", held=not failed)
    if painted:
        proof.figures["first paint"] = f"median {statistics.median(painted) * 1e3:.0f} ms"
    if strict:
        slow = {n: t for n, (_, t) in took.items() if statistics.median(t) > WITHIN}
        proof.none_of(f"each is answered within {WITHIN * 1e3:.0f} ms (median)", list(slow))
        dear = [name for name, each in worked.items() if each > WORK]
        proof.none_of(f"each takes at most {WORK * 1e3:.0f} ms of CPU (median)", dear)
        if not painted:
            raise ProofError(
                "no browser, or no tools of the page: npm --prefix gateway/dashboard/web ci"
            )
        proof.promise(
            f"first paint within {PAINT:g} s (median)", held=statistics.median(painted) < PAINT
        )
    return proof


def _make(ledger: Path, rows: int) -> None:
    if not ledger.exists():
        make(ledger, rows)
    with closing(ledger_at(ledger).write()) as writer:
        while roll_up(writer, START + 40 * DAY):
            pass


def _question(values: dict[str, str], turn: int) -> dict[str, str]:
    """The same question of a period that nobody has asked of yet, so that nothing is kept of it; a
    slider that moves asks of the same period at another threshold."""
    if "threshold" in values:
        period = {"since": str(START), "until": str(START + 30 * DAY)}
        return {**period, **values, "threshold": f"{turn * 0.06:.2f}"}
    until = START + 30 * DAY - 3600 * (turn % 24)
    return {"since": str(START), "until": str(until), **values}


async def _ask_all(admin: str) -> tuple[dict[str, tuple[float, list[float]]], list[str]]:
    took: dict[str, tuple[float, list[float]]] = {}
    failed = []
    async with _client(admin) as client:
        await client.get("/dashboard/")
        await asyncio.sleep(2)
        for name, values in QUESTIONS.items():
            times = []
            for turn in range(ASKED + 1):
                began = time.perf_counter()
                path = f"/dashboard/api/{name.split(',')[0]}"
                answer = await client.get(path, params=_question(values, turn))
                times.append(time.perf_counter() - began)
                failed += [name] if answer.status_code != 200 else []
            took[name] = times[0], times[1:]
    return took, failed


def _work(ledger: Path) -> dict[str, float]:
    """The CPU that an answer takes whoever makes it, in seconds: medians, without HTTP."""
    worked = {}
    for name, values in QUESTIONS.items():
        times = []
        for turn in range(1, 6):
            began = time.process_time()
            asked = _question(values, turn)
            told = answer(name.split(",")[0], str(ledger), asked, START + 31 * DAY)
            times.append(time.process_time() - began)
            if "text" not in told:
                raise ProofError(f"{name}: {told}")
        worked[name] = statistics.median(times)
    return worked


def _client(admin: str) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {KEY}"}
    return httpx.AsyncClient(base_url=admin, headers=headers, timeout=60)


async def _look(admin: str) -> None:
    async with _client(admin) as client:
        for name in ("money", "now", "routing"):
            await client.get(f"/dashboard/api/{name}")


async def _served(served: Gateway, beside: Callable[[], Any]) -> float:
    """The median time of a request while something goes on beside it."""
    going_on = True

    async def keep_on() -> None:
        while going_on:
            await beside()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(keep_on())
    times = []
    pool = Pool(served.url)
    try:
        for number in range(300):
            began = time.perf_counter()
            answer: Answer = await ask(
                pool,
                {"model": "waterfall", "messages": [{"role": "user", "content": f"Say {number}"}]},
            )
            assert answer.status == 200
            times.append(time.perf_counter() - began)
    finally:
        going_on = False
        await task
        await pool.aclose()
    return statistics.median(times)


async def _paint(admin: str) -> list[float]:
    """Seconds to the first paint of something, in a real browser; none where there is none."""
    web, node = ROOT / "gateway" / "dashboard" / "web", shutil.which("node")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not (node and browser and (web / "node_modules" / "playwright-core").exists()):
        return []
    url = f"{admin}/dashboard/#token={KEY}"
    child = await asyncio.create_subprocess_exec(
        *(node, "--input-type=module", "-", str(web), browser, url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await child.communicate(_PAINTED.encode())
    return [each / 1e3 for each in json.loads(said)] if child.returncode == 0 else []
