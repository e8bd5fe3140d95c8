"""The proof that thresholds send up the share they say, live, of fresh questions, by two workers.

`python -m loadtests.share --data FILE` trains on half of a pair file and asks the other half.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

from gateway.upstreams.http1 import Pool
from loadtests import live, made_up
from loadtests.harness import Gateway, Proof, ProofError, ask, gateway, spread, upstream
from loadtests.live import Look
from loadtests.telling import show
from router_models.difficulty.data import DataError, read_files
from router_models.difficulty.rows import Row

TARGET, WITHIN = 0.2, 0.03
FIRST = 1000
"""Requests after which the gateway knows its own traffic."""
LEAST = 300
"""Answers by which a share may be judged."""
WIDTH = 32
STEP = 0.05
"""How far a threshold may move from one look to the next: a refit's step, not a fall to a start."""
LAG = 1.5
"""Seconds within which a worker takes over what the other one has fitted: a look at the ledger."""
BY_HAND = 0.33

Event = Callable[[], Coroutine[Any, Any, None]]


async def prove(
    folder: Path,
    fresh: int = 2000,
    learnt: int = 1500,
    within: float = WITHIN,
    data: Sequence[Path] = (),
) -> Proof:
    """Run it: `fresh` questions judge each threshold, to `within` its target. Without `data` all
    questions are made up."""
    rows, own = _given(data) if data else _made(learnt, FIRST + 2 * fresh)
    scorer = await asyncio.to_thread(made_up.artefact, folder / "scorer", rows)
    proof = Proof("share")
    proof.figures["learnt from"] = f"{len(rows):,} outcomes"
    async with (
        upstream(folder, "sim") as provider,
        gateway(folder, _document(provider.url, scorer)) as served,
    ):
        await _of_a_reference(proof, served, own[-fresh:], within)
        await _of_own_traffic(proof, served, own[: FIRST + fresh], within)
        await _of_a_target(proof, served, made_up.others(FIRST + fresh, 7), within)
        await _by_hand(proof, served, made_up.others(300, 8))
        code = await served.stop()
    proof.promise("the gateway writes no traceback", held="Traceback" not in served.said())
    proof.promise("it stops with exit code 0", held=code == 0)
    return proof


def _made(learnt: int, asked: int) -> tuple[Sequence[Row], list[str]]:
    return made_up.rows(learnt, 1), made_up.questions(asked, 2)


def _given(data: Sequence[Path]) -> tuple[Sequence[Row], list[str]]:
    rows = list(read_files(data, (), lambda: None).rows)
    random.Random(1).shuffle(rows)
    half = len(rows) // 2
    if half < FIRST + LEAST:
        raise ProofError(
            f"{len(rows):,} rows are too few: half of them are learnt from, and the other half "
            f"must be {FIRST + LEAST:,} or more, {FIRST:,} to get to know and the rest to judge by"
        )
    return rows[:half], [row.signals.text for row in rows[half:]]


def _document(url: str, scorer: Path) -> dict[str, Any]:
    common = {"tiers": ["small", "large"], "scorer": str(scorer)}
    admin = {"admin": "127.0.0.1:0", "admin_key": live.KEY}
    return {
        "server": {"port": 0, "drain": "10s", "workers": 2, **admin},
        "upstreams": {"sim": {"kind": "openai", "base_url": f"{url}/v1"}},
        "tiers": {
            name: {"upstream": "sim", "model": name, "price": {"input": 1, "output": 2}}
            for name in ("small", "large")
        },
        "routes": {
            "artefact": {**common, "threshold": 1 - TARGET, "reference": "artefact"},
            "own": {**common, "threshold": 1 - TARGET},
            "target": {**common, "threshold": {"target_share": TARGET}},
        },
    }


# ------------------------------------------------------------------ what is asked


@dataclass
class Load:
    """Questions for one route. `up` tells of each answer, in the order they came, whether it
    started over the first tier; `lost` counts those that never came."""

    served: Gateway
    route: str
    up: list[bool] = field(default_factory=list)
    lost: int = 0

    async def send(self, texts: Sequence[str], events: Mapping[int, Event] | None = None) -> float:
        """Ask them all as fast as may be, each event coming before the question of its number, and
        after the event before; return how many were asked a second."""
        pool, began = Pool(self.served.url), time.monotonic()
        in_turn = asyncio.Lock()
        happening: list[asyncio.Task[None]] = []

        async def happen(event: Event) -> None:
            async with in_turn:
                await event()

        async def one(numbered: tuple[int, str]) -> None:
            number, text = numbered
            if events and number in events:
                happening.append(asyncio.create_task(happen(events[number])))
            answer = await ask(pool, live.body(self.route, text))
            if answer.status == 200:
                self.up.append(answer.headers[b"x-waterfall-start"].startswith(b"large"))
            else:
                self.lost += 1

        try:
            await spread(list(enumerate(texts)), WIDTH, one)
            rate = len(texts) / (time.monotonic() - began)
            await asyncio.gather(*happening)
        finally:
            await pool.aclose()
        return rate

    def share(self, start: int = 0, end: int | None = None) -> float:
        """Return what part of the answers started over the first tier. Raises ProofError."""
        part = self.up[start:end]
        if not part:
            raise ProofError(f"route {self.route} answered nothing")
        return sum(part) / len(part)


# ------------------------------------------------------------------ the promises


async def _of_a_reference(
    proof: Proof, served: Gateway, texts: Sequence[str], within: float
) -> None:
    load = Load(served, "artefact")
    await load.send(texts)
    judge_share(proof, "0.8 among the artefact's reference", load, 0, within)


async def _of_own_traffic(
    proof: Proof, served: Gateway, texts: Sequence[str], within: float
) -> None:
    load, what = Load(served, "own"), "0.8 among own traffic"
    await load.send(texts[:FIRST])
    took = await live.agreed(served, "own", lambda each: each.scores >= FIRST)
    proof.figures[f"{what}: request 1,000 to fitted to it in both"] = f"{took:.1f} s"
    await load.send(texts[FIRST:])
    judge_share(proof, what, load, FIRST, within)


async def _of_a_target(proof: Proof, served: Gateway, texts: Sequence[str], within: float) -> None:
    """Other traffic, with no pause after request 1,000; in the middle of what follows the file is
    edited, the gateway gets a SIGHUP, and a worker is killed."""
    load, what, seen = Load(served, "target"), "20 % of other traffic", list[tuple[float, Look]]()
    quarter = (len(texts) - FIRST) // 4
    events: dict[int, Event] = {
        FIRST + quarter: partial(live.edit, served, "target"),
        FIRST + 2 * quarter: partial(live.hang_up, served),
        FIRST + 3 * quarter: partial(live.kill_one, served),
    }
    looking = asyncio.create_task(live.look_on(served, "target", seen))
    rate = await load.send(texts, events)
    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking
    proof.figures[f"{what}: sent"] = f"{rate:.0f} a second; lost with a worker: {load.lost}"
    proof.figures[f"{what}: up of the first 1,000"] = f"{load.share(0, FIRST):.1%}"
    proof.figures[f"{what}: up of the next 500"] = f"{load.share(FIRST, FIRST + 500):.1%}"
    judge_share(proof, what, load, FIRST, within)
    judge_looks(proof, what, seen)
    proof.promise("only what a killed worker had is lost", held=load.lost <= WIDTH)
    await _in_metrics(proof, served, load)


async def _in_metrics(proof: Proof, served: Gateway, load: Load) -> None:
    """When all is fitted that is going to be, the workers, the metrics and the answers agree."""
    await asyncio.sleep(3)
    found, shown = await live.looks(served, "target"), await live.samples(served)
    routed, last = shown["routed_share", "target"], load.share(-FIRST)
    proof.figures["waterfall_routed_share; of the last 1,000"] = f"{routed:.1%}; {last:.1%}"
    proof.promise(
        "both workers and the metric have one threshold",
        held={each.threshold for each in found} == {shown["threshold", "target"]},
    )
    proof.promise("the metric says what was sent up", held=abs(routed - last) <= WITHIN)


async def _by_hand(proof: Proof, served: Gateway, texts: Sequence[str]) -> None:
    """A number set by hand holds in both workers, and in the one that follows a killed one, until
    the next reload."""

    async def held() -> bool:
        found = await live.looks(served, "target")
        return {(each.threshold, each.basis) for each in found} == {(BY_HAND, "config")}

    await live.put(served, "target", BY_HAND)
    proof.promise("a number set by hand is in both workers at once", held=await held())
    killing = partial(live.kill_one, served)
    await Load(served, "target").send(texts, {len(texts) // 3: killing})
    proof.promise("it outlives a killed worker", held=await held())
    began = time.monotonic()
    await live.hang_up(served)
    await live.agreed(served, "target", lambda each: each.basis == "share")
    took = time.monotonic() - began
    proof.figures["SIGHUP to the fitted threshold again in both"] = f"{took:.1f} s"


def judge_share(proof: Proof, what: str, load: Load, start: int, within: float) -> None:
    """Hold what a load sent up, from an answer on, to the target."""
    share, count = load.share(start), len(load.up) - start
    proof.figures[f"{what}: up"] = f"{share:.1%} of {count:,}"
    proof.promise(
        f"{what}: {TARGET:.0%} ± {100 * within:g} points", held=abs(share - TARGET) <= within
    )


def judge_looks(proof: Proof, what: str, seen: Sequence[tuple[float, Look]]) -> None:
    """Once a worker ranks among the gateway's own traffic, each of them does (the other one after
    its next look at the ledger), and the threshold moves by steps."""
    known = next((at for at, each in seen if each.reference == "own"), inf)
    before = [each for at, each in seen if at < known][-1:]
    after = [(at, each) for at, each in seen if at >= known]
    own = [each for _, each in after if (each.basis, each.reference) == ("share", "own")]
    late = [each for at, each in after if at < known + LAG and each in before]
    back = [each for _, each in after if each not in own and each not in late]
    far = max((abs(b.threshold - a.threshold) for a, b in pairwise(own)), default=1.0)
    proof.figures[f"{what}: looks at it; furthest step"] = f"{len(own):,}; {far:.3f}"
    proof.none_of("no worker falls back to where it started", back)
    proof.promise("no threshold jumps", held=far < STEP)


def main() -> int:
    """Print the figures; the exit status is 1 when a promise is broken, 2 without a proof."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.share", description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", default=(), metavar="FILE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            proof = asyncio.run(prove(Path(folder), data=given.data))
        except (ProofError, DataError) as error:
            parser.exit(2, f"{error}\n")
    show(proof)
    return 0 if proof.holds else 1


if __name__ == "__main__":
    sys.exit(main())
