"""The proof that `kill -9` loses no call: the mixed load, killed at random moments, then recovered.

Each time the gateway is started again on the same ledger, or the worker that was killed is
replaced, and the load goes on. At the end the ledger has as many calls as the upstreams' logs;
those that were settled agree to the token, and each that was not is listed with an estimate. A call
is marked some microseconds before it is written, and never after: a kill that comes in between
leaves a mark over, and these are counted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil

from gateway.upstreams.http1 import Pool
from loadtests import live, mix
from loadtests.harness import Gateway, Proof, gateway, quiet, spread_of
from loadtests.reconcile import cost, judge_tokens, read_tables
from loadtests.tiers import booked, is_exact, reported

Row = Mapping[str, Any]
Instant = tuple[float, float]
"""UNIX seconds just before a kill, and when the process was gone."""
_JUST_BEFORE = 0.02
"""Seconds before a kill in which a process may have marked a call, and not had the CPU since."""
_NEAR = 5.0
"""Seconds within which a mark and the log's line of the same call were written, at the most."""


async def prove(
    folder: Path, requests: int = 1000, seed: int = 13, kills: int = 8, workers: int = 1
) -> Proof:
    """Run it: every kill comes somewhere in its share of the load. Of several workers, one is
    killed."""
    dice = random.Random(seed)
    rounds = [mix.asks(requests // kills, seed + each, f"k{each}-") for each in range(kills)]
    restarts = []
    async with AsyncExitStack() as stack:
        upstreams = await mix.providers(stack, folder, seed)
        urls = {name: each.url for name, each in upstreams.items()}
        document = mix.document(urls) | {"server": {"workers": workers}}
        served = await stack.enter_async_context(gateway(folder, document))
        answered, instants = 0, []
        for work in rounds:
            victim = _victim(served, dice)
            served_by_then, instant = await _until_killed(served, victim, work, dice)
            answered += served_by_then
            instants.append(instant)
            again = live.replaced(served, len(instants)) if workers > 1 else served.start()
            restarts.append(1000 * await again)
        await quiet(list(upstreams.values()))
        metrics = await served.metrics()
        code = await served.stop()
        lines = [line for each in upstreams.values() for line in each.lines()]
        calls = read_tables(served.ledger)["call"]
    proof = Proof("kill" if workers == 1 else "kill_worker")
    proof.figures["requests"] = f"{sum(map(len, rounds)):,}, {mix.WIDTH} at a time"
    proof.figures["kills"] = str(kills) if workers == 1 else f"{kills}, of one of {workers} workers"
    proof.figures["requests answered before the kill that followed"] = f"{answered:,}"
    proof.figures["start to ready after a kill, recovery included"] = spread_of(restarts, digits=0)
    judge(proof, calls, lines, instants)
    proof.promise("the gateway writes no traceback", held="Traceback" not in served.said())
    proof.promise("no call went unmarked", held="unmarked_calls_total 0.0" in metrics)
    proof.promise("it stops with exit code 0", held=code == 0)
    return proof


def _victim(served: Gateway, dice: random.Random) -> psutil.Process:
    """Choose whom to kill: a worker, where there are several; else the gateway."""
    gateway = psutil.Process(served.running.pid)
    return dice.choice(gateway.children() or [gateway])


async def _until_killed(
    served: Gateway, victim: psutil.Process, work: Sequence[mix.Ask], dice: random.Random
) -> tuple[int, Instant]:
    """Send the load, and kill when some of it is answered; return how much was, and when."""
    pool = Pool(served.url)
    waiting = iter(work)
    answered = 0
    at = dice.randint(len(work) // 5, len(work) * 4 // 5)
    now = asyncio.Event()

    async def client() -> None:
        nonlocal answered
        for each in waiting:
            whole = (await mix.send(pool, each)).whole
            answered += whole
            if answered >= at:
                now.set()

    clients = [asyncio.create_task(client()) for _ in range(mix.WIDTH)]
    await now.wait()
    await asyncio.sleep(dice.uniform(0, 0.05))
    before = time.time()  # noqa: TID251 - the marks are on this clock
    victim.kill()
    if victim.pid == served.running.pid:  # a worker is its parent's to bury
        served.running.child.wait()
    after = time.time()  # noqa: TID251
    for each in clients:
        each.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    await pool.aclose()
    return answered, (before, after)


def judge(
    proof: Proof, calls: Sequence[Row], lines: Sequence[Row], instants: Sequence[Instant]
) -> None:
    """Compare the ledger's calls with the upstreams' logs where kills came between."""
    pairs, alone = _matched(calls, lines)
    unsent = [call for call in alone if _in_the_instant(call, instants)]
    unsettled = [call for call in calls if call["status"] == "unsettled"]
    recovered = [call for call in calls if call["attempt"] is None]
    proof.figures["calls in the upstreams' logs"] = f"{len(lines):,}"
    proof.figures["calls in the ledger"] = f"{len(calls):,}"
    proof.figures["recovered from marks: settled, unsettled"] = (
        f"{len(recovered) - len(unsettled):,}, {len(unsettled):,}"
    )
    proof.figures["of these marked in the instant of a kill, which came before the write"] = str(
        len(unsent)
    )
    proof.promise(
        "the ledger has as many calls as the upstreams, but for those marks",
        held=len(calls) - len(unsent) == len(lines) and len(unsent) < len(instants),
    )
    proof.promise(
        "kills left calls unsettled, so that there was something to prove", held=bool(unsettled)
    )
    proof.none_of(
        "each unsettled call is listed with an estimate",
        [
            dict(call)
            for call in unsettled
            if not (call["estimated"] and call["prompt_tokens"] and call["completion_tokens"])
        ],
    )
    proof.none_of(
        "each call costs what the price list says",
        [dict(call) for call in calls if call["cost"] != cost(call)],
    )
    strange = [dict(call) for call in alone if call not in unsent]
    proof.none_of("each other call of the ledger is one of the log", strange)
    judge_tokens(proof, [pair for pair in pairs if pair[0]["status"] != "unsettled"])


def _in_the_instant(call: Row, instants: Sequence[Instant]) -> bool:
    """Is this the mark of a call that was about to be written when its process was killed?

    The mark comes first, so that no call is ever missing; a kill between the two leaves it alone.
    """
    at = call["started_at"]
    return call["status"] == "unsettled" and any(
        before - _JUST_BEFORE < at < after for before, after in instants
    )


def _matched(calls: Sequence[Row], lines: Sequence[Row]) -> tuple[list[tuple[Row, Row]], list[Row]]:
    """Pair each call with its line: by the request's name, or, for one that is known by its mark
    alone, by model, time and tokens. Also returns the calls that found none."""
    free = defaultdict(list)
    for line in sorted(lines, key=lambda line: line["received_at"]):
        free[_name(line["user"], line["model"]), line["model"]].append(line)
    pairs, alone, marked = [], [], []
    for call in sorted(calls, key=_certainty):
        mine = free[_name(call["name"], call["model"]), call["model"]]
        if _is_named(call) and is_exact(
            call
        ):  # of two beside each other the later may have arrived first
            mine.sort(key=lambda line: _tokens(line) != booked(call)[:2])
        if not _is_named(call):
            marked.append(call)
        elif mine:
            pairs.append((call, mine.pop(0)))
        else:
            alone.append(call)
    left = defaultdict(list)
    for (_, model), rest in free.items():
        left[model] += rest
    return _matched_by_marks(marked, left, pairs, alone)


def _matched_by_marks(
    marked: Sequence[Row],
    left: Mapping[str, list[Row]],
    pairs: list[tuple[Row, Row]],
    alone: list[Row],
) -> tuple[list[tuple[Row, Row]], list[Row]]:
    for call in marked:
        line = next(_candidates(call, left[call["model"]]), None)
        if line is None:
            alone.append(call)
        else:
            left[call["model"]].remove(line)
            pairs.append((call, line))
    return pairs, alone


def _name(user: str | None, model: str) -> str | None:
    return None if model in mix.NAMELESS else user


def _is_named(call: Row) -> bool:
    return call["attempt"] is not None and call["model"] not in mix.NAMELESS


def _certainty(call: Row) -> tuple[int, float]:
    """Those that know their tokens choose first."""
    return (0 if is_exact(call) else 1 if not call["estimated"] else 2, call["started_at"])


def _candidates(call: Row, lines: Sequence[Row]) -> Iterator[Row]:
    near = [line for line in lines if abs(line["received_at"] - call["started_at"]) < _NEAR]
    near.sort(key=lambda line: abs(line["received_at"] - call["started_at"]))
    if call["estimated"]:
        return iter(near)
    if not call["prompt_tokens"]:  # it failed, and may have been made again at once
        return iter(sorted(near, key=lambda line: reported(line) is not None))
    return (
        line for line in near if _tokens(line) == (call["prompt_tokens"], call["completion_tokens"])
    )


def _tokens(line: Row) -> tuple[int, int] | None:
    usage = reported(line)
    return None if usage is None else (usage["prompt_tokens"], usage["completion_tokens"])
