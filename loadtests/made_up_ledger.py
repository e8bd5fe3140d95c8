"""A ledger of requests that nobody asked: what a month of two routes could have come to.

Every request is decided by the policy that serves (`next_step`), written by the code that writes
(`core.rows`, `store.sqlite`), and priced as it would be; only what models and checks said is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from gateway.core.baseline import reckon
from gateway.core.cascade import next_step
from gateway.core.chat import Choice, Reply
from gateway.core.decided import Decided
from gateway.core.difficulty import Difficulty
from gateway.core.errors import UpstreamTimeout
from gateway.core.ids import uuid7
from gateway.core.judging import judged
from gateway.core.ledger import Entry, Origin, Timing, status_of
from gateway.core.money import Price, Usage, nano
from gateway.core.outcome import Attempt, CallRecord, Outcome
from gateway.core.plan import Plan, Tier
from gateway.core.recipes import Recipe
from gateway.core.routing import Overrides, Route, make_plan
from gateway.core.rows import row
from gateway.core.shadow import Shadow, shadow_row
from gateway.core.signals import Signals
from gateway.core.steps import Call, Consult, Deliver
from gateway.core.verdict import Bar, CheckSpec, Evidence, Finding
from gateway.store.connection import Place
from gateway.store.encode import encode
from gateway.store.flatten import record_of
from gateway.store.ledgers import ledger_at

START = 1_760_000_000.0
DAY = 86_400.0
_REPLY = Reply((Choice("made up"),))
_MINI = Price(nano("0.15"), nano("0.6"), cached_input=nano("0.075"), version="made-up 2026-11-22")
_BIG = Price(nano("2.5"), nano("10"), cached_input=nano("1.25"), version="made-up 2026-11-22")
_MEDIUM = Price(nano("1.2"), nano("4.8"), cached_input=nano("0.6"), version="made-up 2026-11-22")
_JUDGE = 40_000
"""What asking a judge costs, in nano-dollars."""
SMALL = Tier(
    "small", "near", "mini-1", _MINI, recipe=Recipe("terse", 2, before="Be brief. " * 12),
    bar=Bar(checks=(CheckSpec("shape"), CheckSpec("judge", _JUDGE, waits=True))),
)  # fmt: skip
MIDDLE = replace(SMALL, name="middle", model="midi-1", price=_MEDIUM, recipe=None)
LARGE = Tier("large", "far", "maxi-1", _BIG)
ROUTES = (
    Route("waterfall", (SMALL, LARGE), thresholds=(0.8,)),
    Route("contracts", (MIDDLE, LARGE), thresholds=(0.95,)),
)
"""The second sends nearly everything to a tier that cannot do it, and is not cheap: it loses."""
_WRONG = {"waterfall": 0.25, "contracts": 1.6}
"""How often the first tier is wrong there, times the request's difficulty."""


def make(path: Path, count: int, *, days: float = 30.0, seed: int = 1) -> Path:
    """Write a SQLite ledger of so many requests, evenly over the days; return it."""
    write(path, count, days=days, seed=seed)
    return path


def write(place: Place, count: int, *, days: float = 30.0, seed: int = 1) -> None:
    """Write so many requests into a ledger, evenly over the days, with labels on some."""
    draw = random.Random(seed)
    made = _requests(draw, count, days)
    with closing(ledger_at(place).write()) as writer:
        while batch := list(islice(made, 1_000)):
            with writer.transaction():
                shadows = [record for each, _ in batch for record in each.pop("shadows", ())]
                writer.insert([record for record, _ in batch])
                writer.insert(shadows)
                for label in (label for _, said in batch for label in said):
                    writer.connection.execute("INSERT INTO label VALUES (?, ?, ?, ?, ?)", label)


def _requests(
    draw: random.Random, count: int, days: float
) -> Iterator[tuple[dict[str, Any], list[tuple[str, str, str, float, float]]]]:
    for number in range(count):
        route = ROUTES[number % 10 == 9]
        at = START + days * DAY * number / count
        known_as = uuid7(int(at * 1_000), draw.getrandbits(74))
        hard = draw.random()
        entry = _entry(draw, route, Origin(known_as, known_as, at, stream=False), hard)
        record = _record(entry)
        if number % 47 == 0 and entry.served_tier == "small":
            record["shadows"] = [_shadow(draw, entry)]
        labels = []
        if number % 23 == 0 and entry.served_tier != "none":
            right = {"large": draw.random() < 0.96}
            if entry.served_tier != "large":
                right[entry.served_tier] = hard < 0.78 and draw.random() < 0.97
            tiers = {entry.served_tier, "large"}
            labels = [(known_as, tier, "judge", float(right[tier]), at) for tier in sorted(tiers)]
        yield record, labels


def _record(entry: Entry) -> dict[str, Any]:
    record = record_of(encode(row(entry)))
    assert record is not None
    return record


def _entry(draw: random.Random, route: Route, origin: Origin, hard: float) -> Entry:
    prompt = int(draw.lognormvariate(6.3, 0.6))
    signals = Signals(text="", prompt_chars=prompt * 4, turns=1)
    difficulty = Difficulty(hard, 0.1, (max(0.0, 0.97 - 0.8 * hard), 0.97), "linear@3", score=hard)
    plan = make_plan(route, signals, difficulty, Overrides())
    wrong = draw.random() < _WRONG[route.name] * hard
    outcome, readings = _run(draw, plan, prompt, wrong=wrong)
    took = readings[-1] + 0.01
    return Entry(
        origin=origin,
        route=route.name,
        mode="enforce",
        outcome=outcome,
        timing=Timing(took, 0.4, took - 0.002, 0.0003),
        status=status_of(outcome),
        start_tier=plan.tiers[0].name,
        start_reason=plan.reason,
        difficulty=difficulty,
        threshold=route.thresholds[0],
        baseline=reckon(route, outcome, prompt),
        config="made-up",
        decided=Decided(plan, route.thresholds, Overrides(), signals=signals, readings=readings),
    )


def _run(
    draw: random.Random, plan: Plan, prompt: int, *, wrong: bool
) -> tuple[Outcome, tuple[float, ...]]:
    """Do what the policy says until there is something to deliver."""
    attempts: tuple[Attempt, ...] = ()
    clock, readings = 0.001, []
    while True:
        readings.append(clock)
        step = next_step(plan, attempts, clock)
        if isinstance(step, Call):
            made = judged(plan, _attempt(draw, step.tier, prompt, clock))
            attempts = (*attempts, made)
            clock += made.calls[0].seconds
            if made.calls[0].status == "cancelled":
                return Outcome(attempts, cancelled=True), tuple(readings)
        elif isinstance(step, Consult):
            *before, last = attempts
            last = _consulted(draw, last, step.checks, clock, wrong=wrong)
            attempts = (*before, judged(plan, last))
            clock += sum(item.seconds for item in last.evidence if item.check in step.checks)
        elif isinstance(step, Deliver):
            return Outcome(attempts, step.attempt, step.degraded), tuple(readings)
        else:
            return Outcome(attempts, error=step.error), tuple(readings)


def _attempt(draw: random.Random, tier: Tier, prompt: int, clock: float) -> Attempt:
    luck = draw.random()
    status = "failed" if luck < 0.004 else "cancelled" if luck < 0.012 else "ok"
    cached = prompt // 2 // 128 * 128 if draw.random() < 0.3 else 0
    reply = int(draw.lognormvariate(5.0, 0.5))
    usage = Usage(prompt, reply, cached=cached, estimated=status == "cancelled")
    if status == "failed":
        usage = Usage()
    call = CallRecord(
        call_id=uuid7(1, draw.getrandbits(74)),
        tier=tier.name,
        upstream=tier.upstream,
        model=tier.model,
        started=clock,
        seconds=0.2 + reply / 120,
        status=status,
        usage=usage,
        cost=tier.price.cost(usage),
        first_token=0.2,
        error="timeout" if status == "failed" else "",
    )
    if status == "failed":
        return Attempt(tier, (call,), failure=UpstreamTimeout("made up"))
    if status == "cancelled":
        return Attempt(tier, (call,))
    return Attempt(tier, (call,), reply=_REPLY)


def _consulted(
    draw: random.Random, attempt: Attempt, checks: tuple[str, ...], clock: float, *, wrong: bool
) -> Attempt:
    """Put checks to a reply: a free one, that sees some of what is wrong, or the judge."""
    if "shape" in checks:
        shape = Finding("fail", "refusal") if wrong and draw.random() < 0.3 else Finding("pass")
        attempt = replace(attempt, evidence=(*attempt.evidence, Evidence("shape", shape)))
    return _judge(draw, attempt, clock, wrong=wrong) if "judge" in checks else attempt


def _judge(draw: random.Random, attempt: Attempt, clock: float, *, wrong: bool) -> Attempt:
    """Ask the judge, who is a model too, and nearly always right."""
    sure = draw.uniform(0.0, 0.6) if wrong else draw.uniform(0.7, 1.0)
    usage = Usage(200, 2)
    call = CallRecord(
        call_id=uuid7(1, draw.getrandbits(74)), tier="judge", upstream="far", model="judge-1",
        started=clock, seconds=0.3, status="ok", usage=usage,
        cost=replace(_MINI.cost(usage), request=_JUDGE - _MINI.cost(usage).total),
    )  # fmt: skip
    said = Evidence("judge", Finding("pass", "", sure), 0.3, call.cost.total)
    evidence, checking = (*attempt.evidence, said), (*attempt.checking, call)
    return replace(attempt, evidence=evidence, checking=checking)


def _shadow(draw: random.Random, entry: Entry) -> dict[str, Any]:
    prompt = entry.outcome.attempts[0].calls[0].usage.prompt
    made = _attempt(draw, LARGE, prompt, 0.0)
    known = entry.origin
    return shadow_row(Shadow(known.entry_id, entry.route, known.started_at + 5.0, made), made)
