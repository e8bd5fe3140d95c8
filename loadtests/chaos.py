"""A random-fault run: `python -m loadtests.chaos [--minutes 10] [--seed 17] [--server]`.

Fifty requests a second of every form, every fault among them, and clients that leave, at times that
are fixed before the run; meanwhile a worker is killed in each minute, the database is taken away,
upstreams fall silent, floods come, and the configuration is read anew, all by the same seed. Then
everything is reconciled: what clients got, the ledger, and the upstreams' own logs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import uvloop

from gateway.upstreams.http1 import Pool
from loadtests import mix
from loadtests.chaos_client import send_all
from loadtests.chaos_judge import (
    MORE_FILES,
    counters,
    fallen,
    judge_clients,
    judge_rest,
    judge_return,
)
from loadtests.chaos_plan import Blow, Due, blows, load
from loadtests.databases import Database, Opening, postgres_server, sqlite_file
from loadtests.harness import Gateway, Proof, Upstream, gateway, quiet
from loadtests.kill import Instant, judge
from loadtests.meter import Sample, sample
from loadtests.openloop import CONNECTIONS
from loadtests.reconcile import SHADOWS, read_tables
from loadtests.redis_server import Redis, redis_server
from loadtests.telling import show

RETURNS_WITHIN = 45.0
"""Seconds for which idle connections to upstreams are kept, and a little."""
_WIDE = {"limits": {"rpm": 1_000_000}}
"""A limit that nobody meets, and that has to be asked for each time."""


async def prove(
    folder: Path,
    minutes: float = 10.0,
    seed: int = 17,
    rate: float = 50.0,
    opening: Opening = sqlite_file,
) -> Proof:
    """Run it. With a server for a database there is a Redis too, which is stopped once as well."""
    seconds, redis = 60 * minutes, opening is not sqlite_file
    happens = blows(seconds, seed, redis=redis)
    work = load(seconds, rate, seed, happens)
    warm = [Due(d.at, d.ask) for d in load(min(60.0, seconds / 6), rate, seed + 1, [])]
    async with AsyncExitStack() as stack:
        database = stack.enter_context(opening(folder))
        shared = stack.enter_context(redis_server(folder)) if redis else None
        upstreams = await mix.providers(stack, folder, seed)
        document = _document(upstreams, database, shared)
        served = await stack.enter_async_context(gateway(folder, document))
        ends = await _sent(served, [Due(d.at, _renamed(d.ask)) for d in warm])
        await quiet(list(upstreams.values()))
        await asyncio.sleep(SHADOWS)
        base = sample(served.running.pid)
        striking = Striking(served, database, shared, upstreams, random.Random(seed))
        watching = asyncio.create_task(striking.watch())
        blown = asyncio.create_task(striking.all(happens))
        ends += await _sent(served, work)
        await blown
        await quiet(list(upstreams.values()))
        await asyncio.sleep(SHADOWS)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        last, took = await _returned(served, base)
        metrics = await served.metrics()
        code = await served.stop()
        tables = read_tables(database.place)
    lines = [line for each in upstreams.values() for line in each.lines()]
    proof = Proof("chaos_server" if redis else "chaos")
    proof.figures["requests"] = f"{len(work):,} in {minutes:g} minutes, after {len(warm):,}"
    proof.figures["what befell"] = _told(happens, database)
    proof.figures["kinds of fault met"] = _faults(lines)
    judge_clients(proof, ends, striking.instants, tables["request"])
    judge(proof, tables["call"], lines, striking.instants)
    judge_rest(proof, metrics, striking.fell)
    judge_return(proof, base, last, took)
    proof.promise("the gateway writes no traceback", held="Traceback" not in served.said())
    proof.promise("it stops with exit code 0", held=code == 0)
    return proof


def _document(
    upstreams: Mapping[str, Upstream], database: Database, shared: Redis | None
) -> dict[str, Any]:
    document = mix.document({name: each.url for name, each in upstreams.items()})
    document["server"] = {"workers": 2, "max_in_flight": 150}
    document["ledger"] = {"url": database.url}
    if shared is not None:
        document["shared"] = {"url": shared.url}
        document["routes"] = {n: {**each, **_WIDE} for n, each in document["routes"].items()}
    return document


def _renamed(ask: mix.Ask) -> mix.Ask:
    """Give a request of the warm-up a name of its own."""
    name = f"w{ask.name}"
    body = {**ask.body, "user": name}
    headers = tuple((k, name.encode() if k == b"x-request-id" else v) for k, v in ask.headers)
    return mix.Ask(name, body, headers, ask.leave_after, ask.faults)


async def _sent(served: Gateway, work: Sequence[Due]) -> list[Any]:
    pool = Pool(served.url, limit=CONNECTIONS)
    try:
        return await send_all(pool, work, time.monotonic())
    finally:
        await pool.aclose()


async def _returned(served: Gateway, base: Sample) -> tuple[Sample, float]:
    """Wait until descriptors are back, or for as long as that may take; say how long it took."""
    began = time.monotonic()
    while True:
        last, took = sample(served.running.pid), time.monotonic() - began
        if last.fds <= base.fds + MORE_FILES or took > RETURNS_WITHIN:
            return last, took
        await asyncio.sleep(0.5)


@dataclass
class Striking:
    """Does to a running gateway and to what is around it whatever the plan says."""

    served: Gateway
    database: Database
    shared: Redis | None
    upstreams: Mapping[str, Upstream]
    dice: random.Random
    instants: list[Instant] = field(default_factory=list)
    fell: list[str] = field(default_factory=list)

    async def all(self, happens: Sequence[Blow]) -> None:
        """Strike each blow at its time; those that last go on beside the others."""
        began, lasting = time.monotonic(), []
        for blow in happens:
            await asyncio.sleep(max(0.0, began + blow.at - time.monotonic()))
            lasting.append(asyncio.create_task(self._strike(blow)))
        await asyncio.gather(*lasting)

    async def _strike(self, blow: Blow) -> None:
        match blow.what:
            case "kill":
                self._kill()
            case "reload":
                os.kill(self.served.running.pid, signal.SIGHUP)
            case "database":
                await asyncio.to_thread(self._away, blow.seconds)
            case "stall":
                await self._stall(self.upstreams[blow.whom].process.pid, blow.seconds)
            case "redis" if self.shared is not None:
                self.shared.stop()
                await asyncio.sleep(blow.seconds)
                await asyncio.to_thread(self.shared.start)
            case _:  # a flood is the clients'
                pass

    def _kill(self) -> None:
        workers = psutil.Process(self.served.running.pid).children()
        victim = self.dice.choice(workers)
        before = time.time()  # noqa: TID251 - the marks are on this clock
        victim.kill()
        with suppress(psutil.TimeoutExpired):
            victim.wait(1.0)
        self.instants.append((before, time.time()))  # noqa: TID251

    def _away(self, seconds: float) -> None:
        with self.database.away():
            time.sleep(seconds)

    @staticmethod
    async def _stall(pid: int, seconds: float) -> None:
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def watch(self) -> None:
        """Read the metrics every second, and note each counter that has fallen."""
        before: dict[str, float] = {}
        while True:
            now = counters(await self.served.metrics())
            if now:  # whoever was asked may just have been killed
                self.fell += fallen(before, now)
                before = now
            await asyncio.sleep(1.0)


def _told(happens: Sequence[Blow], database: Database) -> str:
    count = Counter(blow.what for blow in happens)
    away = {blow.what: blow.seconds for blow in happens}
    told = [
        f"{count['kill']} workers killed",
        f"{database.how} {away['database']:g} s",
        f"Redis stopped for {away['redis']:g} s" if "redis" in away else "",
        f"{count['stall']} times an upstream silent",
        f"{count['flood']} floods of up to {max(b.size for b in happens)} at once",
        f"{count['reload']} reloads",
    ]
    return "; ".join(filter(None, told))


def _faults(lines: Sequence[Mapping[str, Any]]) -> str:
    met = Counter(line["fault"] for line in lines if line["fault"])
    return f"{len(met)}, {met.total():,} times"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; exit status 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--server", action="store_true", help="PostgreSQL and Redis, not a file")
    chosen = parser.parse_args(arguments)
    opening = postgres_server if chosen.server else sqlite_file
    folder = Path(tempfile.mkdtemp(prefix="waterfall-chaos-"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        proof = runner.run(prove(folder, chosen.minutes, chosen.seed, chosen.rate, opening))
    show(proof)
    return 0 if proof.holds else 1


if __name__ == "__main__":
    sys.exit(main())
