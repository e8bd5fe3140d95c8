"""What the runs come to: money, escalations and latency read from the ledger, accuracy from the
graded answers, and the curve replayed from both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.core.difficulty import start_index
from gateway.core.verdict import Bar, Evidence, Finding, judge
from gateway.demo.traffic import Answered, Run, request_id
from gateway.store import read

_Z = 1.96


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. `accuracy` is a share with its 95 % Wilson interval (`low`, `high`); money is in
    nano-dollars, `discarded` being part of `cost`; `seconds` are latencies by percentile."""

    run: Run
    asked: int
    accuracy: float
    low: float
    high: float
    cost: int
    discarded: int
    escalated: float
    started_up: float
    seconds: Mapping[int, float]
    recipe: str


@dataclass(frozen=True, slots=True)
class Point:
    """A policy on the curve: its cost and accuracy, were it to have answered everything.

    `cost` is in nano-dollars, `up` the share that the large tier served.
    """

    accept: float
    cost: int
    accuracy: float
    up: float


@dataclass(frozen=True, slots=True)
class Case:
    """One question as both tiers met it: difficulty, P(large good), the draft's confidence, and
    each tier's cost (nano-dollars) and success."""

    difficulty: float
    next_good: float | None
    confidence: float
    small_cost: int
    large_cost: int
    small_right: bool
    large_right: bool


def figures(ledger: Path, run: Run, answers: Sequence[Answered]) -> Figures:
    """Add up one run."""
    summed = read.summary(ledger, session=run.name)
    rows = read.requests(ledger, session=run.name)
    asked = len(answers)
    right = sum(answer.right for answer in answers)
    low, high = wilson(right, asked)
    detail = read.request(ledger, request_id(run, 0)) or {}
    recipes = {attempt["recipe"] for attempt in detail.get("attempts", ()) if attempt["recipe"]}
    return Figures(
        run=run,
        asked=asked,
        accuracy=right / asked,
        low=low,
        high=high,
        cost=summed.cost,
        discarded=summed.discarded_cost,
        escalated=summed.escalated / asked,
        started_up=sum(row["start_tier"] != "small" for row in rows) / asked,
        seconds=summed.seconds,
        recipe=", ".join(sorted(recipes)),
    )


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    share, z2 = successes / n, _Z * _Z
    middle = share + z2 / (2 * n)
    spread = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (middle - spread) / (1 + z2 / n), (middle + spread) / (1 + z2 / n)


def cases(
    ledger: Path, judged: Run, large: Run, small_right: Sequence[bool], large_right: Sequence[bool]
) -> list[Case]:
    """Join what the ledger says of a run in which every question was drafted at the small tier
    with what the large tier took for each."""
    large_rows = {row["request_id"]: row for row in read.requests(ledger, session=large.name)}
    found = []
    for index, right in enumerate(small_right):
        whole = read.request(ledger, request_id(judged, index))
        if whole is None:
            raise RuntimeError(f"{request_id(judged, index)} is not in the ledger")
        draft = whole["attempts"][0]
        chances = whole["p_good"]
        confidence = draft["confidence"]
        found.append(
            Case(
                difficulty=whole["difficulty"],
                next_good=chances[-1] if chances else None,
                confidence=1.0 if confidence is None else confidence,
                small_cost=draft["cost"],
                large_cost=large_rows[request_id(large, index)]["cost"],
                small_right=right,
                large_right=large_right[index],
            )
        )
    return found


def replay(found: Sequence[Case], threshold: float, bar: Bar) -> Point:
    """Answer every case anew under another threshold and bar, by the gateway's own rules."""
    cost = right = up = 0
    for case in found:
        starts_up = start_index(case.difficulty, (threshold,)) > 0
        evidence = (Evidence("logprob", Finding("pass", confidence=case.confidence)),)
        served_large = starts_up or not judge(bar, evidence, case.next_good).accepted
        cost += (0 if starts_up else case.small_cost) + (case.large_cost if served_large else 0)
        right += case.large_right if served_large else case.small_right
        up += served_large
    return Point(bar.accept, cost, right / len(found), up / len(found))


def by_threshold(found: Sequence[Case], bar: Bar, steps: int = 40) -> list[Point]:
    """Replay every threshold from 1 (nothing starts at the large tier) to 0 (all does)."""
    return [replay(found, 1 - i / steps, bar) for i in range(steps + 1)]


def by_accept(found: Sequence[Case], bar: Bar, steps: int = 50) -> list[Point]:
    """Replay every `accept` from 0 to 1 with the scorer out of it: the judge alone."""
    grid = (Bar(i / steps, bar.min_gain, bar.checks) for i in range(steps + 1))
    return [replay(found, 1.0, each) for each in grid]
