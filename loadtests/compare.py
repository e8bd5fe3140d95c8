"""Side by side: `python -m loadtests.compare [--only NAME ...] [--repeats N] [--short] [--write]`.

nginx, the bare hop, firstpass, Portkey, LiteLLM and ours in front of one instant upstream, in one
run and in turns: CPU a request by process tree in nanoseconds, the time of a request when nothing
else is asked, and when the first token is out. Peers are installed into places of their own; one
that cannot be is left out, and the reason is printed. With --write the table and its picture go
into docs/performance.md and docs/performance.svg. Prints the steal and the load average of every
repeat: on a shared machine only ratios within one run mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Container, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import uvloop

from gateway.upstreams.http1 import Pool
from loadtests.compared import UPSTREAM, Compared, Figures, page, picture_of, table
from loadtests.harness import CHAT, PATIENT, ROOT, Gateway, Process, gateway, percentile, spread
from loadtests.meter import Machine, cpu_ns, machine, tree
from loadtests.peers import PEERS, Peer, PeerError
from loadtests.stage import document, instant

PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
SETTLE = 0.5
"""Seconds after a load in which what it left to do (a ledger's batch) is done, and counted."""
_QUESTION = "Question {}: what is copper good for? " + "It is a metal, and metals conduct. " * 9
_QUESTIONS = 64
OURS = {
    "waterfall": "ours: routed, scored, judged, recorded",
    "pinned": "ours: a pinned tier, not scored",
    "odds": "ours: routed, and a bar that asks for logprobs",
    "early": "ours: as the first, 8 tokens held",
    "live": "ours: as the first, nothing held",
}
_LIVE = ("early", "live")
"""Rows that differ from the first in streams alone."""


@dataclass(frozen=True, slots=True)
class Load:
    """A load: what is asked, how many at a time, how many of a fast and of a slow answerer."""

    name: str
    stream: bool
    pace: str
    width: int
    count: int
    few: int

    def bodies(self, model: str) -> list[bytes]:
        """Write the requests: as many prompts as a cache of one would not help with."""
        pace = f" pace={self.pace}" if self.pace else ""
        return [
            orjson.dumps(
                {
                    "model": model,
                    "messages": [{"role": "user", "content": _QUESTION.format(number) + pace}],
                    **({"stream": True} if self.stream else {}),
                }
            )
            for number in range(_QUESTIONS)
        ]


LOADS = (
    Load("plain", stream=False, pace="", width=32, count=1500, few=96),
    Load("stream", stream=True, pace="0/2/50", width=8, count=120, few=24),
    Load("alone", stream=False, pace="", width=1, count=300, few=30),
    Load("first", stream=True, pace="200/20/50", width=4, count=4, few=4),
)
_FEW = {"LiteLLM"}


def configured(url: str) -> dict[str, Any]:
    """Write our configuration: the usual one, and a route for each way to hold a stream."""
    tier = {"upstream": "provider", "model": "m", "price": {"input": 1, "output": 2}}
    free = ["shape", "refusal", "format", "tools"]
    tiers = {
        "small": tier,
        "large": {**tier, "price": {"input": 10, "output": 20}},
        "alone": tier,  # of no route, so that nothing is scored for it
        "small-odds": {**tier, "bar": {"checks": [*free, "logprob"]}},
        "small-early": {**tier, "hold": {"tokens": 8}},
        "small-live": {**tier, "hold": "none"},
    }
    routes = {
        name: {"tiers": [first, "large"], "threshold": 1}
        for name, first in (
            ("odds", "small-odds"),
            ("early", "small-early"),
            ("live", "small-live"),
        )
    }
    return document(url, {"tiers": tiers, "routes": routes})


def rows(served: Gateway) -> list[Peer]:
    """Name ourselves, once for each way to be asked."""
    models = {**dict.fromkeys(OURS, ""), "pinned": "alone"}
    return [
        Peer(OURS[name], served.url, served.running.pid, model or name)
        for name, model in models.items()
    ]


async def compare(
    folder: Path,
    only: Sequence[str],
    repeats: int,
    scale: float,
    *,
    pin: bool,
    wanted: Container[tuple[str, str]] | None = None,
) -> Compared:
    """Run it: every load, or the pairs of a row's label and a load that are wanted.

    Raises ProofError when even our own side cannot be started.
    """
    skipped: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(instant(folder))
        served = await stack.enter_async_context(gateway(folder, configured(provider.url)))
        peers = [Peer(UPSTREAM, provider.url, provider.process.pid)]
        for name, start in PEERS.items():
            if only and name not in only:
                continue
            try:
                peers.append(await stack.enter_async_context(start(folder, provider.url)))
            except PeerError as error:
                skipped[name] = str(error)
                print(f"· without {name}: {error}", file=sys.stderr, flush=True)
        peers += rows(served)
        if pin:
            pinned(provider.process, peers[1:])
        found = {peer.label: Figures() for peer in peers}
        machines = await _repeats(peers, found, repeats, scale, wanted)
        return Compared(found, skipped, machines, {p.label: p.what for p in peers}, repeats)


def pinned(upstream: Process, peers: Sequence[Peer]) -> None:
    """Put who is measured on one core, and the upstream and this process on another."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return
    for pid in [os.getpid(), upstream.pid]:
        os.sched_setaffinity(pid, {cores[1]})
    for pid in {pid for peer in peers for pid in tree(peer.pid)}:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {cores[0]})


async def _repeats(
    peers: Sequence[Peer],
    found: Mapping[str, Figures],
    repeats: int,
    scale: float,
    wanted: Container[tuple[str, str]] | None,
) -> list[dict[str, float]]:
    machines = []
    broken: set[tuple[str, str]] = set()
    for turn in range(-1, repeats):  # the first warms and does not count
        before: Machine = machine()
        for load in LOADS:
            for peer in peers:
                if (peer.label, load.name) in broken or not _suits(peer, load, wanted):
                    continue
                measured = replace(load, count=max(4, load.count // 8)) if turn < 0 else load
                try:
                    await _one(peer, measured, found[peer.label], scale, counts=turn >= 0)
                except (AssertionError, OSError) as error:
                    broken.add((peer.label, load.name))
                    found[peer.label].broken[load.name] = str(error)[:120]
        machines.append(machine().since(before))
        told = machines[-1]
        print(
            f"· {'warmed' if turn < 0 else f'repeat {turn + 1} of {repeats}'}: steal "
            f"{told['steal']:.0%}, load average {told['load_after']}",
            file=sys.stderr,
            flush=True,
        )
    return machines[1:]


def _suits(peer: Peer, load: Load, wanted: Container[tuple[str, str]] | None) -> bool:
    if wanted is not None:
        return (peer.label, load.name) in wanted
    return load.stream or peer.model not in _LIVE


async def _one(peer: Peer, load: Load, into: Figures, scale: float, *, counts: bool) -> None:
    """Put one load to one of them. Raises AssertionError when it does not answer as it should."""
    few = any(peer.label.startswith(name) for name in _FEW)
    count = max(load.width, round((min(load.few, load.count) if few else load.count) * scale))
    before = cpu_ns(tree(peer.pid))
    times, firsts, marks = await burn(peer, load, count)
    await asyncio.sleep(SETTLE)
    used = (cpu_ns(tree(peer.pid)) - before) / 1e3 / count
    if not counts:
        return
    into.note(load.name, used)
    into.note(f"{load.name}_p50", 1e3 * percentile(times, 0.5))
    into.note(f"{load.name}_p99", 1e3 * percentile(times, 0.99))
    into.note(f"{load.name}_first", 1e3 * percentile(firsts, 0.5))
    into.note(f"{load.name}_eighth", 1e3 * percentile(marks, 0.5))


async def burn(peer: Peer, load: Load, count: int) -> tuple[list[float], list[float], list[float]]:
    """Ask `count` times; return seconds to the end, to the first text, and to the eighth token."""
    bodies, pool = load.bodies(peer.model), Pool(peer.url)
    headers = ((b"content-type", b"application/json"), *peer.headers)
    now = time.perf_counter  # the loop's own clock stands still for a millisecond

    async def one(number: int) -> tuple[float, float, float]:
        began, first, eighth, seen = now(), 0.0, 0.0, 0
        body = bodies[number % len(bodies)]
        async with pool.exchange("POST", CHAT, headers, body, PATIENT) as exchange:
            assert exchange.status == 200, f"status {exchange.status}"
            while block := await exchange.read():
                seen += block.count(b"copper")
                first = first or (seen and now() - began)
                eighth = eighth or (seen >= 8 and now() - began) or 0.0
        assert seen >= 50, f"{seen} of 50 words came"
        return now() - began, first, eighth

    try:
        told = await spread(range(count), load.width, one)
    finally:
        await pool.aclose()
    return [t for t, _, _ in told], [t for _, t, _ in told], [t for _, _, t in told]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.compare", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], choices=list(PEERS), metavar="NAME")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="a tenth of the requests")
    parser.add_argument("--no-pin", action="store_true", help="leave the choice of cores alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every repeat's figures")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md and .svg")
    chosen = parser.parse_args(arguments)
    scale = 0.1 if chosen.short else 1.0
    with (
        tempfile.TemporaryDirectory(prefix="waterfall-compare-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        compared = runner.run(
            compare(Path(folder), chosen.only, chosen.repeats, scale, pin=not chosen.no_pin)
        )
    print(table(compared))
    if chosen.json:
        chosen.json.write_text(json.dumps(compared.told(), indent=1), encoding="utf-8")
    if chosen.write:
        PAGE.write_text(page(PAGE.read_text("utf-8"), compared), encoding="utf-8")
        PICTURE.write_text(picture_of(compared), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
