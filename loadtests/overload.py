"""The proof that ten times too much is turned away at once, and costs those who are inside nothing.

Open loop: requests are sent at fixed times, whatever the answers do. What limits the gateway is
what is configured: how many requests a process has under way, or how many calls its upstream is
given at once, each of which takes two fifths of a second. The peak is the best that any load
brings; the flood is ten times that.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.upstreams.http1 import Pool
from loadtests.arrivals import arrivals
from loadtests.harness import Gateway, Proof, ask, gateway, get, percentile, spread_of, upstream
from loadtests.openloop import CONNECTIONS
from loadtests.stage import document

SLOTS, TAKES = 4, 0.4
"""Requests at once, and the seconds that each of them takes: ten a second."""
PEAK = SLOTS / TAKES
TIMES, CALM = 10, 0.25
"""The flood's and the calm's load, in peaks."""
REJECTED_WITHIN, HEALTHY_WITHIN, RECOVERED_WITHIN = 0.05, 1.0, 5.0
"""Seconds."""
GOODPUT = 0.9
LIMITS: Mapping[str, Mapping[str, Any]] = {
    "the process": {"server": {"max_in_flight": SLOTS}},
    "the upstream": {
        "upstreams": {"provider": {"concurrency": SLOTS, "queue": {"length": SLOTS, "wait": "1s"}}}
    },
}
"""What limits it, by who does."""
AT_THE_DOOR = frozenset({"the process"})
"""Where nothing was done for whoever is turned away. Elsewhere there is a record, which is on the
disk before the answer leaves: at the worst that takes what the disk takes. It is told, not judged.
"""
_BODY = {"model": "small", "messages": [{"role": "user", "content": "Say something short."}]}


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: when it was to be sent, was sent, and was whole, in seconds into the phase."""

    due: float
    sent: float
    ended: float
    status: int

    @property
    def good(self) -> bool:
        """Was it served?"""
        return self.status == 200


async def prove(folder: Path, seconds: float = 15.0, *, strict: bool = True) -> Proof:
    """Run it: each limit's peak for `seconds`, its flood for as long, and the calm after it.

    Without `strict`, as a machine needs that is busy with other tests, times are told and not
    judged."""
    proof = Proof("overload")
    for who, how in LIMITS.items():
        inside = folder / who.replace(" ", "-")
        inside.mkdir()
        await _limited(proof, inside, who, how, seconds, strict=strict)
    return proof


async def _limited(
    proof: Proof,
    folder: Path,
    who: str,
    how: Mapping[str, Any],
    seconds: float,
    *,
    strict: bool,
) -> None:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(
            upstream(folder, "provider", "--first-token", str(TAKES))
        )
        served = await stack.enter_async_context(gateway(folder, document(provider.url, how)))
        pool = Pool(served.url, limit=CONNECTIONS)
        stack.push_async_callback(pool.aclose)
        peaks = [await _phase(pool, share * PEAK, seconds / 2) for share in (CALM, 1.0, 2.0)]
        before = served.running.cpu()
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(_look(served, seconds))
            flood = await _phase(pool, TIMES * PEAK, seconds)
        cpu = (served.running.cpu() - before) / len(flood)
        calm = await _phase(pool, CALM * PEAK, RECOVERED_WITHIN + 2)
        code = await served.stop()
    peak = max(_rate(each, seconds / 2) for each in peaks)
    proof.figures[f"{who}: CPU of the gateway in the flood"] = f"{1000 * cpu:.2f} ms a request"
    _judge(proof, who, peak, flood, seconds, strict=strict)
    _judge_health(proof, who, looking.result(), strict=strict)
    _judge_calm(proof, who, peaks[0], calm, strict=strict)
    quietly = "Traceback" not in served.said()
    proof.promise(f"{who}: no traceback, exit code 0", held=quietly and not code)


async def _phase(pool: Pool, rate: float, seconds: float) -> list[Told]:
    began, tasks = time.perf_counter(), []
    for each in arrivals("poisson", rate, seconds, seed=round(rate)):
        await asyncio.sleep(max(0.0, began + each.at - time.perf_counter()))
        tasks.append(asyncio.create_task(_one(pool, began, each.at)))
    return list(await asyncio.gather(*tasks))


async def _one(pool: Pool, began: float, due: float) -> Told:
    sent = time.perf_counter() - began
    answer = await ask(pool, _BODY)
    status = answer.status if answer.whole else 0
    if status not in {0, 200} and b"retry-after" not in answer.headers:
        status = -status  # told to come back, and not when
    return Told(due, sent, time.perf_counter() - began, status)


async def _look(served: Gateway, seconds: float) -> list[tuple[int, float]]:
    """Ask for its health, on connections of its own, until `seconds` are over."""
    seen, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        for path in ("/health/live", "/health/ready"):
            pool, began = Pool(served.url), time.perf_counter()
            status, _ = await get(pool, path)
            seen.append((status, time.perf_counter() - began))
            await pool.aclose()
        await asyncio.sleep(0.1)
    return seen


def _rate(told: Sequence[Told], seconds: float) -> float:
    """Good answers a second, of those that ended while the phase lasted."""
    return sum(each.good and each.ended <= seconds for each in told) / seconds


def _judge(
    proof: Proof, who: str, peak: float, flood: Sequence[Told], seconds: float, *, strict: bool
) -> None:
    rate = _rate(flood, seconds)
    shed = [each for each in flood if not each.good]
    took = [each.ended - each.sent for each in shed]
    inside = [1000 * (each.ended - each.due) for each in flood if each.good]
    offered = len(flood) / seconds
    proof.figures[f"{who}: peak, and offered in the flood"] = f"{peak:.1f}/s, {offered:.0f}/s"
    proof.figures[f"{who}: answers in the flood"] = ", ".join(
        f"{status}: {count:,}" for status, count in sorted(Counter(e.status for e in flood).items())
    )
    proof.figures[f"{who}: goodput in the flood"] = f"{rate:.1f}/s, {rate / peak:.0%} of the peak"
    proof.figures[f"{who}: turned away after"] = spread_of([1000 * each for each in took])
    late = [1000 * (each.ended - each.due) for each in shed]
    proof.figures[f"{who}: the same, from when it should have been sent"] = spread_of(late)
    proof.figures[f"{who}: served after, from when it should have been sent"] = spread_of(inside)
    proof.promise(
        f"{who}: whoever is turned away is told 503, and when to come back",
        held={each.status for each in shed} == {503},
    )
    if strict and who in AT_THE_DOOR:
        proof.promise(
            f"{who}: within {1000 * REJECTED_WITHIN:.0f} ms (p99)",
            held=percentile(took, 0.99) <= REJECTED_WITHIN,
        )
    if strict:
        proof.promise(f"{who}: goodput is at least 90 % of the peak", held=rate >= GOODPUT * peak)


def _judge_health(
    proof: Proof, who: str, seen: Sequence[tuple[int, float]], *, strict: bool
) -> None:
    took = [seconds for _, seconds in seen]
    proof.figures[f"{who}: health in the flood"] = spread_of([1000 * each for each in took])
    proof.none_of(
        f"{who}: health answers 200 all the while", [status for status, _ in seen if status != 200]
    )
    if strict:
        proof.promise(f"{who}: within a second", held=max(took) <= HEALTHY_WITHIN)


def _judge_calm(
    proof: Proof, who: str, before: Sequence[Told], calm: Sequence[Told], *, strict: bool
) -> None:
    """After the flood: the load that was easy before it is easy again."""
    usual = percentile([each.ended - each.due for each in before if each.good], 0.99)
    after = _easy_from(calm, 2 * usual)
    told = "never" if after is None else f"after {after:.2f} s"
    proof.figures[f"{who}: before it, at {CALM:.0%} of the peak"] = spread_of(
        [1000 * (each.ended - each.due) for each in before if each.good]
    )
    proof.figures[f"{who}: all served as quickly again"] = told
    if strict:
        proof.promise(
            f"{who}: so it is within five seconds of the flood's end",
            held=after is not None and after <= RECOVERED_WITHIN,
        )


def _easy_from(calm: Sequence[Told], within: float) -> float | None:
    """Find the first second in which all were served within so many seconds; return its begin."""
    for first in calm:
        second = [each for each in calm if first.due <= each.due < first.due + 1.0]
        if all(each.good and each.ended - each.due <= within for each in second):
            return first.due
    return None
