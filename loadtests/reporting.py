"""The proof of what a report of thirty days takes over half a million requests.

A ledger is made up, and `waterfall report` is run over it as a user would: before its hours are
added up (as after an upgrade), after that (as a gateway leaves it), and without the sweep over
thresholds. `python -m loadtests.reporting --ledger URL_OR_FILE` does the same with one that is made
once, and used again: a database that is given has its rows already.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from gateway.store.connection import Place
from gateway.store.ledgers import ledger_at
from gateway.store.rollups import roll_up
from loadtests.databases import Opening, postgres_server, sqlite_file
from loadtests.harness import Proof
from loadtests.made_up_ledger import write
from loadtests.telling import show
from router_models.commands.common import ledger_place

TURNS = 5
LIMIT = 5.0
"""Seconds: what issue 5 asks for."""
_LATE = 1e11
_SUMS = ("requests", "bill", "cost", "starts", "losses", "certainty", "quality", "period")
"""Of a report: what is added up, and does not depend on how it is cut into blocks."""


async def prove(
    folder: Path,
    rows: int = 500_000,
    *,
    strict: bool = True,
    opening: Opening | None = postgres_server,
) -> Proof:
    """Run it; without `strict` no time is judged, and without `opening` SQLite alone is tried."""
    return await asyncio.to_thread(_prove, folder, rows, strict, opening)


def _prove(folder: Path, rows: int, strict: bool, opening: Opening | None) -> Proof:
    proof = Proof("reporting")
    for each in (sqlite_file, opening):
        if each is not None:
            with each(folder) as database:
                write(database.place, rows)
                name = "SQLite" if each is sqlite_file else "PostgreSQL"
                _judge(name, database.place, folder, proof, strict=strict)
    return proof


def _judge(name: str, place: Place, folder: Path, proof: Proof, *, strict: bool) -> None:
    turns = TURNS if strict else 1
    fresh, took = _time(place, folder, 1)
    hours = _roll_up(place)
    told, best = _time(place, folder, turns)
    _, without = _time(place, folder, turns, "--sample", "0")
    figures = proof.figures
    figures[f"{name}: requests, hours"] = f"{told['requests']:,}, {hours[0]:,}"
    figures[f"{name}: all hours added up"] = f"{hours[1]:.1f} s of CPU in this process"
    figures[f"{name}: report, hours not added up yet"] = took.told
    figures[f"{name}: report"] = best.told
    figures[f"{name}: report without the sweep over thresholds"] = without.told
    proof.promise(
        f"{name}: what is reported is the same, to the nano-dollar, from hours and from rows",
        held=all(_near(told[part], fresh[part]) for part in _SUMS),
    )
    if strict:
        proof.promise(f"{name}: a report takes at most {LIMIT:g} s", held=best.least <= LIMIT)


def _near(one: Any, other: Any) -> bool:
    """Are they equal, but for how floats were added up and intervals were drawn?"""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            _near(one[name], other[name]) for name in one if name not in {"low", "high"}
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_near, one, other))
    return bool(abs(one - other) < 1e-9 if isinstance(one, float) else one == other)


class _Took:
    """Seconds of some runs: by the clock, and of CPU."""

    def __init__(self, walls: list[float], cpus: list[float]) -> None:
        self.least = min(walls)
        wall, cpu = statistics.median(walls), statistics.median(cpus)
        self.told = f"{wall:.1f} s (best of {len(walls)}: {self.least:.1f}), {cpu:.1f} s of CPU"


def _roll_up(place: Place) -> tuple[int, float]:
    """Add up all hours, as a gateway does once an hour; how many, and the seconds of CPU."""
    with closing(ledger_at(place).write()) as writer:
        began, count = time.process_time(), 0
        while roll_up(writer, _LATE):
            count += 1
        return count, time.process_time() - began


def _time(place: Place, folder: Path, turns: int, *options: str) -> tuple[dict[str, Any], _Took]:
    """Run it so many times; return what it told, and what it took."""
    out = folder / "report.json"
    ledger = str(place) if isinstance(place, Path) else place.url
    command = [Path(sys.executable).parent / "waterfall", "report", "--ledger", ledger]
    walls, cpus = [], []
    for _ in range(turns):
        before, began = _spent(), time.perf_counter()
        subprocess.run([*command, "--output", out, *options], check=True)
        walls.append(time.perf_counter() - began)
        cpus.append(_spent() - before)
    return json.loads(out.read_text()), _Took(walls, cpus)


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Do it over a file. Exit code 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--ledger", required=True)
    args = parser.parse_args()
    if "://" not in args.ledger and not Path(args.ledger).exists():
        write(Path(args.ledger), args.rows)
    place = ledger_place(args.ledger)
    proof = Proof("reporting")
    with tempfile.TemporaryDirectory() as folder:
        name = "SQLite" if isinstance(place, Path) else "PostgreSQL"
        _judge(name, place, Path(folder), proof, strict=True)
    show(proof)
    print(f"load average {os.getloadavg()[0]:.1f}")
    return 0 if proof.holds else 1


if __name__ == "__main__":
    sys.exit(main())
