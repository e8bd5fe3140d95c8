"""The proof of what the ledger costs a request, and of how many rows its drain keeps up with.

Synthetic records, each of an escalated request (two attempts, two calls, a check), are appended to
a spool as a killed process leaves it, and then drained. Beside that, what the serving thread itself
does for a request: two marks, their settling, one record encoded and appended.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from gateway.core.baseline import Baseline
from gateway.core.difficulty import Difficulty
from gateway.core.ids import uuid7
from gateway.core.ledger import Entry, Origin, Timing
from gateway.core.money import Price, Usage
from gateway.core.outcome import Attempt, CallRecord, Outcome
from gateway.core.plan import Tier
from gateway.core.ports import OpenCall
from gateway.core.verdict import LAST_TIER, Evidence, Finding, Verdict
from gateway.store.connection import Inserted, Place
from gateway.store.journal import Journal
from gateway.store.ledgers import ledger_at
from gateway.store.owner import claim
from gateway.store.rollups import hours, roll_up
from gateway.store.slots import Slots
from gateway.store.spool import Spool
from gateway.store.store import Store, open_store
from loadtests.databases import Opening, postgres_server, sqlite_file
from loadtests.harness import Proof

AT_LEAST = 2000
"""Requests a second that the drain of one process must keep up with."""
AT_MOST = 100.0
"""Microseconds of CPU that the ledger may cost on a request's path."""
START = 1_700_000_000.0
_SMALL = Tier("small", "near", "mini-1", Price(250_000_003, 2_000_000_007, version="book-1"))
_LARGE = Tier("large", "far", "maxi-1", Price(1_250_000_011, 10_000_000_013, version="book-1"))
_DEFER = Verdict(accepted=False, reason="low_confidence", confidence=0.31)
_FAILED = Evidence("judge", Finding("fail", "low_confidence", 0.31), 0.02, 0)


async def prove(
    folder: Path,
    rows: int = 100_000,
    *,
    strict: bool = True,
    opening: Opening | None = postgres_server,
) -> Proof:
    """Run it; without `strict` no time is judged, and without `opening` SQLite alone is tried."""
    return await asyncio.to_thread(_prove, folder, rows, strict, opening)


def _prove(folder: Path, rows: int, strict: bool, opening: Opening | None) -> Proof:
    proof = Proof("ledger")
    made = list(entries(rows))
    proof.figures["synthetic requests"] = f"{rows:,}, each of two attempts, two calls and a check"
    cost = _cost_on_the_path(folder / "path.db", made[: min(rows, 20_000)], proof)
    for each in (sqlite_file, opening):
        if each is None:
            continue
        name = "SQLite" if each is sqlite_file else "PostgreSQL"
        with each(folder) as database:
            store, rate = _drained(database.place, folder / name, made, name, proof)
            _judge_sums(store, made, name, proof)
        if strict and each is sqlite_file:
            proof.promise(
                f"one process's drain into {name} keeps up with {AT_LEAST:,} requests a second",
                held=rate >= AT_LEAST,
            )
    if strict:
        proof.promise(
            f"the ledger costs a request at most {AT_MOST:g} µs of CPU", held=cost <= AT_MOST
        )
    return proof


def entries(count: int) -> Iterator[Entry]:
    """Make up escalated requests, ten a second of their own clock."""
    chance = random.Random(1)
    for number in range(count):
        at = START + number / 10
        known_as = uuid7(round(at * 1000), chance.getrandbits(74))
        usage = Usage(chance.randrange(50, 2000), chance.randrange(5, 500), cached=17)
        draft = Attempt(
            _SMALL, calls=(_call(_SMALL, usage, at, chance),), verdict=_DEFER, evidence=(_FAILED,)
        )
        served = Attempt(_LARGE, calls=(_call(_LARGE, usage, at, chance),), verdict=LAST_TIER)
        yield Entry(
            origin=Origin(known_as, known_as, at),
            route="waterfall",
            mode="enforce",
            outcome=Outcome(attempts=(draft, served), served=served),
            timing=Timing(total=2.0, first_token=0.5, upstream=1.75, decision=0.0003),
            status=200,
            start_tier="small",
            start_reason="score",
            difficulty=Difficulty(chance.random(), 0.1, (0.6, 0.9), "linear@3"),
            threshold=0.8,
            baseline=Baseline("large", 123_456_789),
            config="c0ffee",
        )


def _call(tier: Tier, usage: Usage, at: float, chance: random.Random) -> CallRecord:
    return CallRecord(
        call_id=uuid7(round(at * 1000), chance.getrandbits(74)),
        tier=tier.name,
        upstream=tier.upstream,
        model=tier.model,
        started=0.25,
        seconds=1.5,
        status="ok",
        usage=usage,
        cost=tier.price.cost(usage),
        first_token=0.125,
        price=tier.price,
    )


def _cost_on_the_path(path: Path, made: list[Entry], proof: Proof) -> float:
    """Measure the serving thread's own CPU, and return the median of a request, in microseconds."""
    store = open_store(path)
    took: list[float] = []
    for entry in made:
        calls = [call for attempt in entry.outcome.attempts for call in attempt.calls]
        openings = [_opening(entry, call) for call in calls]
        began = time.thread_time_ns()
        slots = tuple(store.journal.open(each) for each in openings)
        for slot, call in zip(slots, calls, strict=True):
            store.journal.settle(slot, call)
        store.journal.append(entry, slots)
        took.append((time.thread_time_ns() - began) / 1000)
    store.close()
    took.sort()
    middle = statistics.median(took)
    proof.figures["the ledger's CPU on the path of such a request, two calls marked"] = (
        f"{middle:.0f} µs (p95 {took[len(took) * 95 // 100]:.0f}), while its drain runs beside it"
    )
    return middle


def _opening(entry: Entry, call: CallRecord) -> OpenCall:
    return OpenCall(
        call_id=call.call_id,
        entry_id=entry.origin.entry_id,
        route=entry.route,
        tier=call.tier,
        upstream=call.upstream,
        model=call.model,
        opened_at=START,
        prompt_estimate=99,
        completion_estimate=256,
        cost_estimate=777_001,
    )


def _drained(
    place: Place, spool: Path, made: list[Entry], name: str, proof: Proof
) -> tuple[Store, float]:
    """Let a store's drain write what a dead process has left; note its requests a second."""
    size = _left(spool, made)
    began, cpu = time.perf_counter(), time.process_time()
    store = open_store(place, spool_folder=spool, wait=600)
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    rate = len(made) / took
    proof.figures[f"drained into {name}"] = (
        f"{rate:,.0f} requests/s ({size / 2**20:.0f} MiB in {took:.1f} s; "
        f"{1e6 * spent / len(made):.0f} µs of CPU each in the gateway's process)"
    )
    return store, rate


def _left(folder: Path, made: list[Entry]) -> int:
    """Append all to a spool that nobody drains, and leave it as a kill would; return its bytes."""
    dead = claim(folder)
    spool, slots = Spool(dead), Slots(dead.slots)
    journal = Journal(slots, spool)
    for entry in made:
        journal.append(entry, ())
    spool.close()
    slots.close()
    os.close(dead.lock)
    return spool.position


def _judge_sums(store: Store, made: list[Entry], name: str, proof: Proof) -> None:
    state = store.state()
    done = Inserted(state.written, state.duplicates, state.malformed)
    proof.promise(f"{name} has each row once", held=done == Inserted(new=len(made)))
    store.close()
    with closing(ledger_at(store.place).write()) as writer:
        while roll_up(writer, 2 * START):  # what the drain has not
            pass
        writer.connection.execute("INSERT INTO rollup_due (hour) SELECT hour FROM rollup_hour")
        began, rolled = time.perf_counter(), 0
        while roll_up(writer, 2 * START):
            rolled += 1
        took = (time.perf_counter() - began) / max(rolled, 1)
    began = time.perf_counter()
    found = hours(store.place, 0, 2 * START)
    read = 1000 * (time.perf_counter() - began)
    proof.figures[f"an hour of 36,000 requests rolled up in {name}"] = (
        f"{1000 * took:.0f} ms; {rolled} hours read in {read:.0f} ms"
    )
    sums = sum(row["requests"] for row in found), sum(row["cost"] for row in found)
    proof.promise(
        f"the roll-ups in {name} are the requests' own sums to the nano-dollar",
        held=sums == (len(made), sum(entry.cost for entry in made)),
    )
