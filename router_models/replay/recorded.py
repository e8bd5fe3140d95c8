"""Ledger rows back into what the policy decides on: attempts, checks, clock readings."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.core import errors
from gateway.core.chat import Choice, Reply
from gateway.core.decided import VERSION, Decided, read_decided
from gateway.core.errors import UpstreamDown, UpstreamError
from gateway.core.money import Cost, Usage
from gateway.core.outcome import Attempt, CallRecord
from gateway.core.plan import Plan, Tier
from gateway.core.verdict import Evidence, Finding, Verdict
from gateway.store.histories import History

_log = logging.getLogger(__name__)
_REPLY = Reply((Choice("not kept"),))
_FAILURES: dict[str, type[UpstreamError]] = {
    each.kind: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, UpstreamError)
}
_DOWN = ("connect", "server", "bad_response")


@dataclass(frozen=True, slots=True)
class Try:
    """One recorded attempt. `attempt` is how it ended, `first` how its first call did where there
    was a second, bare one. `model` and `recipe` say what was asked. `end` is in seconds into the
    request, `seconds` how long it took. `cut` says that nobody let it end: the client left, or the
    gateway failed."""

    attempt: Attempt
    first: Attempt | None
    model: str
    recipe: str
    end: float
    seconds: float
    begun: bool
    cut: bool


@dataclass(frozen=True, slots=True)
class Record:
    """One request as recorded.

    `tries` are by tier, each tier's in order; `actual` are the tiers that were called while the
    client waited, in order; `outrun` are the tries, in none of these, that a race gave up, in
    order, each with how many of `actual` came before it; `scoring` is what its scorer's calls
    cost, in nano-dollars.
    """

    row: Mapping[str, Any]
    decided: Decided
    tries: Mapping[str, tuple[Try, ...]]
    actual: tuple[str, ...]
    outrun: tuple[tuple[int, Try], ...]
    scoring: int
    good: Mapping[str, float]

    @property
    def over(self) -> bool:
        """Did the request come to an end of its own?"""
        return self.row["outcome"] not in {"cancelled", "internal_error", "unsettled"}


def read_records(histories: Iterable[History]) -> Iterator[Record]:
    """Read requests. What a newer version has decided is left out, and how many that were is
    logged: who goes back a version has its rows."""
    newer = 0
    for history in histories:
        if history.row["decided"]["v"] > VERSION:
            newer += 1
        else:
            yield read_record(history)
    if newer:
        _log.warning("%d requests are left out: a newer version decided on them.", newer)


def read_record(history: History) -> Record:
    """Read one request. Raises ValueError where a newer version wrote it."""
    decided = read_decided(history.row["decided"])
    plans = [decided.plan, *([decided.would] if decided.would else [])]
    ladder = {t.name: t for plan in plans for t in (*plan.tiers, *plan.below)}
    began = history.row["started_at"]
    tries: dict[str, tuple[Try, ...]] = {}
    actual: list[str] = []
    outrun: list[tuple[int, Try]] = []
    for flat in history.attempts:  # a shadow's comes last, so it speaks where no other does
        tier = ladder.get(flat["tier"]) or Tier(flat["tier"], "", "")
        made = _try(flat, tier, began)
        if made.attempt.outrun:
            outrun.append((len(actual), made))
            continue
        tries[tier.name] = (*tries.get(tier.name, ()), made)
        if not flat["shadow"]:
            actual.append(tier.name)
    return Record(
        row=history.row,
        decided=decided,
        tries=tries,
        actual=tuple(actual),
        outrun=tuple(outrun),
        scoring=sum(call["cost"] for call in history.scoring),
        good=history.good,
    )


def _try(flat: Mapping[str, Any], tier: Tier, began: float) -> Try:
    calls = tuple(_call(each, began) for each in flat["calls"])
    last = calls[-1] if calls else None
    cut = not flat["failure"] and (last is None or last.status in {"cancelled", "failed"})
    attempt = Attempt(
        tier=tier,
        calls=calls,
        reply=None if flat["failure"] or cut else _REPLY,
        evidence=tuple(_evidence(each) for each in flat["checks"]),
        verdict=_verdict(flat),
        failure=_failure(flat["failure"]),
        released=bool(flat["released"]),
        altered=bool(flat["altered"]),
        bare=bool(flat["bare"]),
        left=bool(flat["left"]),
        fallen=bool(flat["fallen"]),
        rival=bool(flat["rival"]),
    )
    starts = [call.started for call in calls]
    end = max((call.started + call.seconds for call in calls), default=0.0)
    return Try(
        attempt=attempt,
        first=_first(attempt),
        model=calls[-1].model if calls else "",
        recipe=flat["recipe"],
        end=end,
        seconds=end - min(starts) if starts else 0.0,
        begun=any(call.first_token is not None for call in calls),
        cut=cut,
    )


def _first(attempt: Attempt) -> Attempt | None:
    """An attempt as it was before its second, bare call."""
    if not attempt.bare:
        return None
    calls = tuple(call for call in attempt.calls if not call.bare)
    failure = _failure(calls[-1].error if calls else "rejected")
    return Attempt(attempt.tier, calls, failure=failure, altered=True)


def _call(flat: Mapping[str, Any], began: float) -> CallRecord:
    return CallRecord(
        call_id=flat["call_id"],
        tier=flat["tier"],
        upstream=flat["upstream"],
        model=flat["model"],
        started=flat["started_at"] - began,
        seconds=flat["seconds"] or 0.0,
        status=flat["status"],
        usage=Usage(
            flat["prompt_tokens"],
            flat["completion_tokens"],
            flat["cached_tokens"],
            flat["cache_write_tokens"],
            flat["reasoning_tokens"],
            bool(flat["estimated"]),
        ),
        cost=Cost(output=flat["cost"]),
        first_token=flat["first_token"],
        bare=bool(flat["bare"]),
        error=flat["error"],
    )


def _evidence(flat: Mapping[str, Any]) -> Evidence:
    found = Finding(flat["result"], flat["reason"], flat["confidence"], bool(flat["broken"]))
    return Evidence(flat["check"], found, flat["seconds"], flat["cost"])


def _verdict(flat: Mapping[str, Any]) -> Verdict | None:
    if not flat["verdict"]:
        return None
    accepted = flat["verdict"] == "accept"
    return Verdict(accepted, flat["reason"], flat["confidence"], bool(flat["broken"]))


def _failure(kind: str) -> UpstreamError | None:
    if not kind:
        return None
    if kind in _DOWN:
        return UpstreamDown("as recorded", kind=kind)
    return _FAILURES.get(kind, UpstreamDown)("as recorded")


def repriced(attempt: Attempt, tier: Tier) -> Attempt:
    """Price an attempt's calls as `tier` does now; what was not billed stays free."""
    calls = (
        replace(call, cost=tier.price.cost(call.usage))
        if call.cost.total or call.status == "ok"
        else call
        for call in attempt.calls
    )
    return replace(attempt, tier=tier, calls=tuple(calls))


def same_plan(one: Plan, other: Plan) -> bool:
    """Would both decide alike, whatever came of their calls?"""
    return _facts(one) == _facts(other)


def _facts(plan: Plan) -> tuple[object, ...]:
    tiers = tuple(tier_facts(plan, tier) for tier in (*plan.tiers, *plan.below))
    whole = (len(plan.tiers), plan.deadline, plan.ceiling, plan.whole, plan.speculate, plan.choices)
    return (*whole, tiers, dict(plan.expected), dict(plan.p_good))


def tier_facts(plan: Plan, tier: Tier) -> tuple[object, ...]:
    """What of a tier its place in a plan, and the way it is judged, rest on."""
    recipe = tier.recipe.label if tier.recipe else ""
    bar = tier.bar
    checks = tuple(
        (spec.name, plan.check_cost(tier, spec), spec.waits, spec.concurrent) for spec in bar.checks
    )
    judged = (bar.accept, bar.min_gain, bar.repair, bar.at_once, bar.early, bar.combiner, checks)
    return (tier.name, tier.model, recipe, tier.context, tier.hold, judged, tier.hedge)
