"""Perform a scenario: the processes, the phases, what is measured around them, the report."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
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
from loadtests.openloop import CONNECTIONS, Run, Tally, merged
from loadtests.scenario import Phase, Scenario, plan
from loadtests.tables import progress

KEY = "loadtests"
"""The admin listener's, of a gateway that is started here."""
EVERY = 0.25
"""Seconds between two looks at the processes."""


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


async def perform(
    scenario: Scenario, folder: Path, url: str | None = None, key: str = "", *, bar: bool = False
) -> dict[str, Any]:
    """Run it; return the report. Raises ProofError when something could not be started."""
    async with AsyncExitStack() as stack:
        served: Gateway | None = None
        if url is None:
            provider = await stack.enter_async_context(_upstream(scenario, folder))
            laid = document(provider.url, scenario.gateway)
            served = await stack.enter_async_context(gateway(folder, laid))
            url = served.url
        elif any(phase.reload for phase in scenario.phases):
            raise ScenarioError("a reload needs a gateway that is started here, not --url")
        return await _perform(scenario, url, key, served, bar=bar)


def _upstream(scenario: Scenario, folder: Path) -> Any:
    told = dict(scenario.upstream)
    if told.pop("kind") == "instant":
        return instant(folder)
    known = {"first_token": "--first-token", "per_token": "--per-token", "sigma": "--sigma"}
    if strange := set(told) - set(known):
        raise ScenarioError(f"upstream: no key {min(strange)!r}: one of kind, {', '.join(known)}")
    given = [text for name, value in told.items() for text in (known[name], str(value))]
    return upstream(folder, "provider", *given)


async def _perform(
    scenario: Scenario, url: str, key: str, served: Gateway | None, *, bar: bool
) -> dict[str, Any]:
    pool = Pool(url, limit=CONNECTIONS)
    run = Run(pool, PATIENT, random.Random(scenario.seed))
    before, at_first = machine(), served and sample(served.running.pid)
    tasks = await _tasks(served) if served else 0
    phases: dict[str, Any] = {}
    try:
        for number, phase in enumerate(scenario.phases):
            laid = plan(scenario, phase, number)
            if key:
                token = (b"authorization", b"Bearer " + key.encode())
                laid = [(at, _with(kind, token)) for at, kind in laid]
            phases[phase.name] = await _phase(run, phase, laid, served, bar=bar)
    finally:
        await pool.aclose()
    report = {
        "scenario": scenario.name,
        "about": scenario.about,
        "seed": scenario.seed,
        "machine": machine().since(before),
        "phases": phases,
    }
    if served and at_first:
        report["process"] = await _afterwards(served, at_first, tasks, phases)
    return report


def _with(kind: Any, header: tuple[bytes, bytes]) -> Any:
    return type(kind)(
        kind.name, kind.body, (*kind.headers, header), kind.leave, kind.pause, kind.within
    )


async def _phase(
    run: Run, phase: Phase, laid: list[Any], served: Gateway | None, *, bar: bool
) -> dict[str, Any]:
    watch, aside = Watch(served), [] if served is None else [_reload(served, phase.reload)]
    tasks = [asyncio.create_task(watch.look()), *map(asyncio.create_task, aside)]
    began, before = time.monotonic(), machine()
    try:
        tallies = await run.phase(laid, phase.seconds, progress(phase) if bar else None)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    if failed := [e for e in ends if isinstance(e, Exception)]:
        raise failed[0]
    told = _tallies(tallies, phase.seconds)
    took = time.monotonic() - began
    about = {"seconds": round(took, 2), "offered": round(len(laid) / phase.seconds, 2)}
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


class Watch:
    """Looks at the gateway's processes while a phase runs."""

    def __init__(self, served: Gateway | None) -> None:
        self.pid = served.running.pid if served else None
        self.first: Sample | None = sample(self.pid) if self.pid else None
        self.peak_rss = self.first.rss if self.first else 0
        self.peak_fds = self.first.fds if self.first else 0

    async def look(self) -> None:
        """Look again and again until cancelled."""
        while self.pid:
            await asyncio.sleep(EVERY)
            now = sample(self.pid)
            self.peak_rss, self.peak_fds = max(self.peak_rss, now.rss), max(self.peak_fds, now.fds)

    def told(self, requests: int) -> dict[str, Any]:
        """Say what was seen since the phase began: CPU in µs a request, bytes, counts."""
        if self.pid is None or self.first is None:
            return {}
        now = sample(self.pid)
        used = (now.cpu - self.first.cpu) / 1e3
        return {
            "process": {
                "cpu_us": round(used / max(1, requests), 1),
                "rss_before": self.first.rss,
                "rss_peak": max(self.peak_rss, now.rss),
                "rss_after": now.rss,
                "rss_each": (max(self.peak_rss, now.rss) - self.first.rss) // max(1, requests),
                "fds_peak": max(self.peak_fds, now.fds),
            }
        }


async def _afterwards(
    served: Gateway, first: Sample, tasks: int, phases: Mapping[str, Any]
) -> dict[str, Any]:
    """See whether everything went back to where it was: within three seconds, or not."""
    for _ in range(30):
        last, open_now = sample(served.running.pid), await _under_way(served)
        tasks_now = await _tasks(served)
        if last.fds <= first.fds + 2 and open_now == 0 and tasks_now <= tasks:
            break
        await asyncio.sleep(0.1)
    peaks = [each["process"]["rss_peak"] for each in phases.values()]
    return {
        "rss_before": first.rss,
        "rss_peak": max(peaks),
        "rss_after": last.rss,
        "fds_before": first.fds,
        "fds_after": last.fds,
        "fds_more": last.fds - first.fds,
        "tasks_before": tasks,
        "tasks_after": tasks_now,
        "tasks_more": tasks_now - tasks,
        "threads": last.threads,
        "under_way_after": open_now,
        "tracebacks": served.said().count("Traceback"),
    }


async def _under_way(served: Gateway) -> int:
    """Requests and calls that the gateway believes open."""
    return await _sum(served, "waterfall_in_flight_requests{", "waterfall_ledger_open_calls")


async def _tasks(served: Gateway) -> int:
    """Tasks of the event loops of its processes, once they have been counted."""
    while not (count := await _sum(served, "waterfall_event_loop_tasks")):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return count


async def _sum(served: Gateway, *wanted: str) -> int:
    told = (await served.metrics()).splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in told if line.startswith(wanted)))
