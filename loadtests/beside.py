"""Two trees side by side: `python -m loadtests.beside OTHER_TREE [--stream] [--batches N]`.

A gateway out of this tree and one out of another (a worktree of the commit before, say), both
running at once in front of one instant upstream, are asked in turns, batch by batch. Says the least
and the median CPU µs a request of each, and the ratio: the least of many short batches is the one
that the machine's neighbours disturbed least, so that changes of a few per cent can be seen where
the comparison's medians move by half. Without OTHER_TREE only this one is measured. The bare hop is
measured too, as the yardstick. With --stream it is streams of 50 chunks, 2 ms between two (of more
with --chunks), by how long they are held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import uvloop

from gateway.upstreams.http1 import Pool
from loadtests.compare import LOADS, SETTLE, Load, burn, configured, pinned
from loadtests.harness import ROOT, Process, get
from loadtests.meter import cpu_ns, tree
from loadtests.peers import Peer
from loadtests.stage import instant

PLAIN = {"routed": "waterfall", "pinned": "alone"}
"""What is asked of a gateway: a row's name, and the model."""
STREAMS = {"held": "waterfall", "8 tokens held": "early", "not held": "live", "pinned": "alone"}
"""The same for streams; what is pinned is not held either."""


@asynccontextmanager
async def served(folder: Path, name: str, source: Path, url: str) -> AsyncIterator[Peer]:
    """Run the gateway that lies at `source`; its label is `name`."""
    home = folder / name
    home.mkdir()
    ledger = {"url": f"sqlite:///{home / 'waterfall.db'}"}
    whole = configured(url) | {"ledger": ledger}
    whole["server"] = whole["server"] | {"port": 0, "admin": "127.0.0.1:0", "drain": "5s"}
    config = home / "waterfall.yaml"
    config.write_text(json.dumps(whole), "utf-8")
    config.chmod(0o600)
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
    process = Process(command, home / "said.txt", home, source)
    try:
        at = (await process.says(r"serving (\S+)")).removesuffix("/v1")
        pool = Pool(at)
        try:
            while (await get(pool, "/health/ready"))[0] != 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        finally:
            await pool.aclose()
        yield Peer(name, at, process.pid, "")
    finally:
        await process.stop()


@asynccontextmanager
async def hop(folder: Path, url: str) -> AsyncIterator[Peer]:
    """Run the bare hop of this tree."""
    process = Process([sys.executable, "-m", "loadtests.hop", url], folder / "hop.txt")
    try:
        yield Peer("bare hop", await process.says(r"listening (\S+)"), process.pid, "m")
    finally:
        process.kill()


async def measure(
    folder: Path, other: Path | None, rows: Mapping[str, str], load: Load, batches: int
) -> dict[str, list[float]]:
    """CPU µs a request of this load, batch by batch, of each row."""
    found: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(instant(folder))
        trees = {"this": ROOT} | ({"other": other} if other else {})
        gateways = [
            await stack.enter_async_context(served(folder, name, source, provider.url))
            for name, source in trees.items()
        ]
        bare = await stack.enter_async_context(hop(folder, provider.url))
        pinned(provider.process, [*gateways, bare])
        asked = [("bare hop", bare)]
        for row, model in rows.items():
            asked += [
                (f"{row}, {each.label}", Peer(each.label, each.url, each.pid, model))
                for each in gateways
            ]
        for turn in range(-2, batches):  # the first two warm and do not count
            for label, peer in asked:
                before = cpu_ns(tree(peer.pid))
                await burn(peer, load, load.count)
                await asyncio.sleep(SETTLE)
                if turn >= 0:
                    used = (cpu_ns(tree(peer.pid)) - before) / 1e3 / load.count
                    found.setdefault(label, []).append(used)
    return found


def told(found: dict[str, list[float]], rows: Iterable[str]) -> list[str]:
    """Write the figures."""
    base = min(found["bare hop"])
    lines = [
        f"{label:21} least {min(values):7.0f} µs, median {statistics.median(values):7.0f} µs, "
        f"{min(values) / base:5.1f} x bare hop"
        for label, values in found.items()
    ]
    for row in rows:
        mine, its = found[f"{row}, this"], found.get(f"{row}, other")
        if its:
            pairs = [a / b for a, b in zip(mine, its, strict=True)]
            lines.append(
                f"{row}: this tree costs {min(mine) / min(its):.3f} of the other's least, "
                f"{statistics.median(pairs):.3f} of its batch beside it"
            )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.beside", description=__doc__)
    parser.add_argument("other", nargs="?", type=Path, help="the other tree's root")
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--count", type=int, help="requests in a batch: 400, or 40 streams")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--chunks", type=int, default=50, help="of a stream, 50 or more")
    chosen = parser.parse_args(arguments)
    rows, load = (STREAMS, LOADS[1]) if chosen.stream else (PLAIN, LOADS[0])
    load = replace(load, count=chosen.count or (40 if chosen.stream else 400))
    if chosen.stream:
        load = replace(load, pace=f"0/2/{chosen.chunks}")
    with (
        tempfile.TemporaryDirectory(prefix="waterfall-beside-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        other = chosen.other.resolve() if chosen.other else None
        found = runner.run(measure(Path(folder), other, rows, load, chosen.batches))
    print("\n".join(told(found, rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
