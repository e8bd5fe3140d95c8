"""The slow proofs: `python -m loadtests.prove [NAME ...] [--short]`.

Runs all of them or those named, tells each promise and whether it was kept, and writes the figures
of those that ran in full into docs/proofs.md. The exit status is 1 when a promise was broken, 2
when a proof could not be carried out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil
import uvloop

from loadtests import (
    bulkhead,
    chaos,
    dashboard,
    ending,
    holds,
    hot_path,
    kill,
    leaks,
    ledger,
    limiting,
    others,
    overload,
    promise,
    reconcile,
    reporting,
    share,
    speculation,
    start,
)
from loadtests.databases import postgres_server
from loadtests.harness import ROOT, Proof, ProofError
from loadtests.telling import show

PAGE = ROOT / "docs" / "proofs.md"
Run = Callable[[Path], Awaitable[Proof]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A proof: what it is about, in full, and in short (None: it has no short form)."""

    title: str
    full: Run
    short: Run | None


PROOFS = {
    "leaks": Entry(
        "No byte of a deferred draft reaches a client",
        leaks.prove,
        partial(leaks.prove, requests=120, strict=False),
    ),
    "reconcile": Entry(
        "Metrics, ledger and the upstreams' own logs agree",
        reconcile.prove,
        partial(reconcile.prove, requests=240, outage=2.0),
    ),
    "reconcile_server": Entry(
        "They agree with PostgreSQL, too",
        partial(reconcile.prove, opening=postgres_server),
        None,
    ),
    "ledger": Entry(
        "What the ledger costs and keeps up with",
        ledger.prove,
        partial(ledger.prove, rows=3000, strict=False, opening=None),
    ),
    "reporting": Entry(
        "A report of thirty days",
        reporting.prove,
        partial(reporting.prove, rows=3000, strict=False, opening=None),
    ),
    "kill": Entry(
        "`kill -9` loses no call", kill.prove, partial(kill.prove, requests=120, kills=2)
    ),
    "kill_worker": Entry(
        "`kill -9` of a worker loses no call",
        partial(kill.prove, workers=2),
        partial(kill.prove, requests=120, kills=2, workers=2),
    ),
    "chaos": Entry(
        "Ten minutes of random faults",
        chaos.prove,
        partial(chaos.prove, minutes=0.3, rate=30.0),
    ),
    "chaos_server": Entry(
        "Ten minutes of random faults, with PostgreSQL and Redis",
        partial(chaos.prove, opening=postgres_server),
        None,
    ),
    "ending": Entry(
        "SIGTERM with two hundred streams open",
        ending.prove,
        partial(ending.prove, streams=40, drain=3.0),
    ),
    "overload": Entry(
        "Ten times too much",
        overload.prove,
        partial(overload.prove, seconds=2.0, strict=False),
    ),
    "bulkhead": Entry(
        "A storm of escalations leaves room for who asks for the large tier",
        bulkhead.prove,
        partial(bulkhead.prove, short=True),
    ),
    "start": Entry("Start to ready", start.prove, partial(start.prove, starts=2, strict=False)),
    "limiting": Entry(
        "What limits, budgets and keys cost a request",
        limiting.prove,
        partial(limiting.prove, requests=2_000, repeats=3, strict=False),
    ),
    "hot_path": Entry(
        "What a request costs in CPU",
        hot_path.prove,
        partial(hot_path.prove, plain=400, streams=40, repeats=1),
    ),
    "share": Entry(
        "Thresholds send up the share they say",
        share.prove,
        partial(share.prove, fresh=1000, learnt=600, within=0.06),
    ),
    "promise": Entry(
        "A promised quality is kept",
        promise.prove,
        partial(promise.prove, rows=3000, splits=20),
    ),
    "holds": Entry(
        "Two real models under every hold policy",
        holds.prove,
        partial(holds.prove, count=300),
    ),
    "speculation": Entry(
        "Speculation brings the first token of what escalates forward",
        speculation.prove,
        partial(speculation.prove, requests=24, strict=False),
    ),
    "dashboard": Entry(
        "The dashboard over half a million requests",
        dashboard.prove,
        partial(dashboard.prove, rows=2_000, strict=False),
    ),
    "churn": Entry(
        "Cancelled calls do not wear the client out",
        others.churn,
        partial(others.churn, cancels=1000),
    ),
    "properties": Entry(
        "Properties, with many examples",
        others.properties,
        partial(others.properties, profile="default"),
    ),
    "demo": Entry("The demo, with its real models", others.demo, None),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.prove", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROOFS)}")
    parser.add_argument("--short", action="store_true", help="small forms; nothing is written")
    chosen = parser.parse_args(arguments)
    if strange := set(chosen.names) - PROOFS.keys():
        parser.error(f"no proof {min(strange)!r}: one of {', '.join(PROOFS)}")
    worst = 0
    for name in chosen.names or PROOFS:
        entry = PROOFS[name]
        run = entry.short if chosen.short else entry.full
        if run is not None:
            worst = max(worst, _carry_out(name, entry.title, run, write=not chosen.short))
    return worst


def _carry_out(name: str, title: str, run: Run, *, write: bool) -> int:
    """Carry one proof out; return its exit status."""
    print(f"\n== {name}: {title}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix=f"waterfall-{name}-"))
    began, load = time.monotonic(), os.getloadavg()[0]
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            proof = runner.run(_awaited(run, folder))
    except (ProofError, TimeoutError) as error:
        print(f"  not carried out: {error}\n  (its files: {folder})", flush=True)
        return 2
    took = time.monotonic() - began
    show(proof)
    print(f"  {took:.0f} s", flush=True)
    if not proof.holds:
        print(f"  (its files: {folder})", flush=True)
        return 1
    shutil.rmtree(folder)
    if write:
        told = section(title, proof, took, (load, os.getloadavg()[0]))
        PAGE.write_text(put(PAGE.read_text("utf-8"), name, told), encoding="utf-8")
    return 0


async def _awaited(run: Run, folder: Path) -> Proof:
    return await run(folder)


def section(title: str, proof: Proof, took: float, load: tuple[float, float]) -> str:
    """Write a proof's part of the page; `load` is the load average before and after."""
    now = datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    rows = [f"| {what} | {figure} |" for what, figure in proof.figures.items()]
    kept = [f"- {sentence}" for sentence, _ in proof.promises]
    return "\n".join(
        [
            f"## {title}",
            "",
            (
                f"{now}, {took:.0f} s, {machine()}, load average {load[0]:.1f} before and "
                f"{load[1]:.1f} after. `python -m loadtests.prove {proof.name}`"
            ),
            "",
            "| figure | |",
            "|---|---|",
            *rows,
            "",
            "Kept:",
            "",
            *kept,
        ]
    )


def machine() -> str:
    """Say what this machine is, without its name."""
    memory = psutil.virtual_memory().total / 2**30
    python = platform.python_version()
    told = f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, Python {python}"
    return f"{told}, niceness {os.nice(0)}" if os.nice(0) else told


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def put(page: str, name: str, told: str) -> str:
    """Put a proof's section between its markers; raises ValueError when the page lacks them."""
    before, begin, rest = page.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not (begin and end):
        raise ValueError(f"docs/proofs.md has no markers for {name}")
    return f"{before}{begin}{told}\n{end}{after}"


if __name__ == "__main__":
    sys.exit(main())
