"""Perform a scenario: the processes, the phases, what is measured around them, the report."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.upstreams.http1 import Pool
from loadtests.arrivals import ScenarioError
from loadtests.harness import (
    PATIENT,
    Gateway,
    Process,
    ProofError,
    Upstream,
    gateway,
    upstream,
)
from loadtests.meter import Sample, machine, sample
from loadtests.openloop import CONNECTIONS, KEPT, Kind, Run, Tally, merged
from loadtests.plan import plan
from loadtests.scenario import Phase, Scenario
from loadtests.tables import progress
from loadtests.watch import Watch, afterwards, at_rest

KEY = "loadtests"
"""The admin listener's, of a gateway that is started here."""


@asynccontextmanager
async def instant(folder: Path, name: str = "instant") -> AsyncIterator[Upstream]:
    """Run the instant upstream in a process of its own."""
    process = Process([sys.executable, "-m", "loadtests.instant"], folder / f"{name}.out")
    try:
        yield Upstream(process, await process.says(r"listening (\S+)"), folder / f"{name}.log")
    finally:
        process.kill()


def document(url: str, over: Mapping[str, Any]) -> dict[str, Any]:
    """Write the usual configuration, and the scenario's own over it; an upstream that it adds is
    the same server, with a pool of connections of its own."""
    tier = {"upstream": "provider", "price": {"input": 1, "output": 2}}
    usual = {
        "server": {"admin_key": KEY},
        "upstreams": {"provider": {"kind": "openai", "base_url": f"{url}/v1"}},
        "tiers": {name: {**tier, "model": name} for name in ("small", "large")},
        "routes": {"waterfall": {"tiers": ["small", "large"], "threshold": 1}},
    }
    whole = _over(usual, over)
    for name, given in whole["upstreams"].items():
        whole["upstreams"][name] = {"kind": "openai", "base_url": f"{url}/v1", **given}
    return whole


def _over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(under)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(made.get(key), Mapping)
        made[key] = _over(made[key], value) if both else value
    return made


@dataclass
class Side:
    """One of the gateways that a scenario is performed on; `served` is one that was started here,
    `first` and `tasks` what it was at the beginning, `phases` what it did."""

    run: Run
    served: Gateway | None = None
    workers: int = 1
    first: Sample | None = None
    tasks: int = 0
    phases: dict[str, Any] = field(default_factory=dict)

    async def told(self) -> dict[str, Any]:
        """Write what it did, and what it left behind."""
        report: dict[str, Any] = {"phases": self.phases}
        if self.served and self.first:
            peak = max(each["process"]["rss_peak"] for each in self.phases.values())
            report["process"] = await afterwards(self.served, self.first, self.tasks, peak)
        return report


async def perform(
    scenario: Scenario, folder: Path, url: str | None = None, key: str = "", *, bar: bool = False
) -> dict[str, Any]:
    """Run it; return the report. Raises ProofError when something could not be started."""
    if url is not None and any(phase.reload for phase in scenario.phases):
        raise ScenarioError("a reload needs a gateway that is started here, not --url")
    before = machine()
    async with AsyncExitStack() as stack:
        if url is not None:
            sides = [await stack.enter_async_context(_theirs(scenario, url))]
        else:
            provider = await stack.enter_async_context(_upstream(scenario, folder))
            laid = [document(provider.url, scenario.gateway)]
            if scenario.beside:
                laid.append(document(provider.url, _over(scenario.gateway, scenario.beside)))
            sides = [
                await stack.enter_async_context(_ours(scenario, _inside(folder, place), each))
                for place, each in enumerate(laid)
            ]
        for number, phase in enumerate(scenario.phases):
            planned = _with_key(plan(scenario, phase, number), key)
            for side in sides:
                side.phases[phase.name] = await send_phase(side, phase, planned, bar=bar)
        for side in sides:
            await side.run.pool.aclose()
        own, *others = [await side.told() for side in sides]
    about = {"scenario": scenario.name, "about": scenario.about, "seed": scenario.seed}
    whole = {**about, "machine": machine().since(before), **own}
    return {**whole, "beside": others[0]} if others else whole


def _inside(folder: Path, place: int) -> Path:
    inside = folder / f"gateway-{place}"
    inside.mkdir()
    return inside


@asynccontextmanager
async def _theirs(scenario: Scenario, url: str) -> AsyncIterator[Side]:
    """Ask a gateway that runs already. Raises ScenarioError for an address that is none."""
    try:
        pool = Pool(url, limit=CONNECTIONS, idle_ttl=KEPT)
    except ValueError as error:
        raise ScenarioError(f"--url {url}: {error}") from error
    try:
        yield Side(Run(pool, PATIENT, random.Random(f"{scenario.seed}/leave")))
    finally:
        await pool.aclose()


@asynccontextmanager
async def _ours(scenario: Scenario, folder: Path, laid: Mapping[str, Any]) -> AsyncIterator[Side]:
    """Start a gateway of this configuration, to be asked and watched."""
    async with gateway(folder, laid) as served, _theirs(scenario, served.url) as side:
        side.served, side.workers = served, laid["server"].get("workers", 1)
        side.first, side.tasks = sample(served.running.pid), await at_rest(served, side.workers)
        yield side


def _upstream(scenario: Scenario, folder: Path) -> Any:
    told = dict(scenario.upstream)
    if told.pop("kind") == "instant":
        return instant(folder)
    given = [f"--{name.replace('_', '-')}={value}" for name, value in told.items()]
    return upstream(folder, "provider", *given)


def _with_key(planned: Sequence[tuple[float, Kind]], key: str) -> Sequence[tuple[float, Kind]]:
    """Send a bearer token along."""
    if not key:
        return planned
    token = (b"authorization", b"Bearer " + key.encode())
    return [(at, replace(kind, headers=(*kind.headers, token))) for at, kind in planned]


async def send_phase(
    side: Side, phase: Phase, laid: Sequence[tuple[float, Kind]], *, bar: bool
) -> dict[str, Any]:
    """Send a phase's requests to a gateway; return what is reported of it. Its seconds are those
    until all was answered."""
    served, watch = side.served, Watch(side.served, side.workers)
    aside = [watch.look()] if served is None else [watch.look(), _reload(served, phase.reload)]
    tasks = [asyncio.create_task(each) for each in aside]
    began, before = time.monotonic(), machine()
    try:
        tallies = await side.run.phase(laid, phase.seconds, progress(phase) if bar else None)
        took = time.monotonic() - began
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    if failed := [e for e in ends if isinstance(e, Exception)]:
        raise failed[0]
    about = {"seconds": round(took, 2), "offered": round(len(laid) / phase.seconds, 2)}
    told = _tallies(tallies, took)
    return {**about, **told, "machine": machine().since(before), **watch.told(len(laid))}


def _tallies(tallies: Mapping[str, Tally], seconds: float) -> dict[str, Any]:
    return {
        "all": merged(tallies).figures(seconds),
        "classes": {name: each.figures(seconds) for name, each in sorted(tallies.items())},
    }


async def _reload(served: Gateway, every: float | None) -> None:
    """Have the configuration read anew, again and again. Raises ProofError when it is refused."""
    if not every:
        return
    admin = await served.running.says(r"admin on (\S+)")
    pool = Pool(admin)
    headers = (
        (b"authorization", b"Bearer " + KEY.encode()),
        (b"content-type", b"application/json"),
    )
    try:
        while True:
            await asyncio.sleep(every)
            async with pool.exchange("POST", "/admin/reload", headers, b"{}", PATIENT) as exchange:
                if exchange.status != 200:
                    raise ProofError(f"reload: {exchange.status} {await exchange.read_all()!r}")
                await exchange.read_all()
    finally:
        await pool.aclose()
