"""An entry of the ledger as plain JSON values: the one shape that every store keeps.

A row holds what there is to say, by its columns' names; what it leaves out is as `core.blank_rows`
has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gateway.core.baseline import Baseline
from gateway.core.decided import decided_row
from gateway.core.difficulty import Difficulty
from gateway.core.ledger import Entry, Escalation, Origin, escalations, scoring_cost
from gateway.core.money import KINDS, Usage
from gateway.core.outcome import Attempt, CallRecord, used_by
from gateway.core.trace import sent_trace_id
from gateway.core.verdict import Evidence, Finding, Verdict

SCHEMA = 2
"""Raise it when a field changes meaning."""


COST_COLUMNS = tuple(f"{kind}_cost" for kind in KINDS)
"""The columns of what a call cost, kind by kind; `cost` is their sum."""


def rounded(seconds: float) -> float:
    """To a millionth, for a line or a mark: `round(seconds, 6)` goes by way of the decimal text."""
    return round(seconds * 1e6) / 1e6


def call_row(call: CallRecord, began: float) -> dict[str, Any]:
    """Flatten a call of a request that began at a UNIX time."""
    usage, price, cost = call.usage, call.price, call.cost
    total = cost.total
    made: dict[str, Any] = {
        "call_id": call.call_id,
        "started_at": began + call.started,
        "tier": call.tier,
        "upstream": call.upstream,
        "model": call.model,
        "seconds": call.seconds,
        "status": call.status,
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "cost": total,
        "price_version": price.version,
        "price_hash": price.digest,
        "input_cost": cost.input,
        "output_cost": cost.output,
        "request_cost": cost.request,
    }
    if call.first_token is not None:
        made["first_token"] = call.first_token
    if call.error or call.bare or usage.estimated or usage.service:
        made["error"] = call.error
        made["bare"] = call.bare
        made["estimated"] = usage.estimated
        made["service_tier"] = usage.service
    if not usage.is_plain() or total != cost.input + cost.output + cost.request:
        _add_kinds(made, call)
    if price.bands or price.services:
        made["rate"] = price.rate(usage)
    if call.provider_id:
        made["provider_request_id"] = call.provider_id
    return made


def _add_kinds(made: dict[str, Any], call: CallRecord) -> None:
    """Add the tokens that are not common ones, and what they cost."""
    usage, cost = call.usage, call.cost
    made["cached_tokens"] = usage.cached
    made["cache_write_tokens"] = usage.cache_write
    made["reasoning_tokens"] = usage.reasoning
    made["cache_write_1h_tokens"] = usage.cache_write_1h
    made["audio_input_tokens"] = usage.audio_input
    made["audio_output_tokens"] = usage.audio_output
    made["image_input_tokens"] = usage.image_input
    made["image_output_tokens"] = usage.image_output
    made["cached_input_cost"] = cost.cached_input
    made["cache_write_cost"] = cost.cache_write
    made["reasoning_cost"] = cost.reasoning
    made["audio_cost"] = cost.audio
    made["image_cost"] = cost.image


def attempt_row(
    attempt: Attempt, began: float, *, served: bool, shadow: bool = False
) -> dict[str, Any]:
    """Flatten an attempt with its calls and checks, of a request that began at a UNIX time; a
    shadow's was made when all was over."""
    tier = attempt.tier
    own: dict[str, Any] = {
        "tier": tier.name,
        "cost": attempt.spent,
        "price_version": tier.price.version,
        "price_hash": tier.price.digest,
    }
    if served:
        own["served"] = True
    if tier.recipe:
        own["recipe"] = tier.recipe.label
    _add_ending(own, attempt)
    if attempt.left or attempt.bare or attempt.released or attempt.altered or attempt.fitted:
        own["left"] = attempt.left
        own["bare"] = attempt.bare
        own["released"] = attempt.released
        own["altered"] = attempt.altered
        own["fitted"] = " ".join(attempt.fitted)
    if attempt.fallen or attempt.rival or shadow:
        own["fallen"] = attempt.fallen
        own["rival"] = attempt.rival
        own["shadow"] = shadow
    made: dict[str, Any] = {
        "attempt": own,
        "calls": [call_row(call, began) for call in attempt.calls],
        "checks": list(map(_check_row, attempt.evidence)),
    }
    if attempt.checking:
        made["checking"] = [call_row(call, began) for call in attempt.checking]
    return made


def _add_ending(own: dict[str, Any], attempt: Attempt) -> None:
    verdict = attempt.verdict
    if verdict is not None:
        own["verdict"] = _word(verdict)
        _add_judgement(own, verdict)
    if attempt.failure:
        own["failure"] = attempt.failure.kind
    if attempt.late is not None:
        own["late_verdict"] = _word(attempt.late)


def row(entry: Entry) -> dict[str, Any]:
    """Flatten an entry into plain JSON values: the request's own row, its attempts', its scorer's
    calls', what is kept of its prompt, and last what it was decided on."""
    began = entry.origin.started_at
    attempts = [
        attempt_row(attempt, began, served=attempt is entry.outcome.served)
        for attempt in entry.outcome.attempts
    ]
    made: dict[str, Any] = {"request": _request_row(entry, attempts), "attempts": attempts}
    if entry.scoring:
        made["scoring"] = [call_row(call, began) for call in entry.scoring]
    if entry.prompt:
        made["prompt"] = asdict(entry.prompt)
    if entry.decided:
        made["decided"] = decided_row(entry.decided)
    return made


def _request_row(entry: Entry, attempts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    outcome, timing = entry.outcome, entry.timing
    made: dict[str, Any] = {
        "schema": SCHEMA,
        "route": entry.route,
        "mode": entry.mode,
        "status": entry.status,
        "outcome": entry.ending,
        "tier": entry.served_tier,
        "start_tier": entry.start_tier,
        "start_reason": entry.start_reason,
        "reason": entry.reason,
        "finish_reason": entry.finish,
        "seconds": timing.total,
        "overhead": timing.overhead,
        "decision": timing.decision,
        "config": entry.config,
    }
    _add_origin(made, entry.origin)
    _add_baseline(made, entry.baseline)
    _add_sums(made, entry, attempts)
    _add_policy(made, entry)
    if outcome.escalated or outcome.degraded:
        made["escalated"] = outcome.escalated
        made["degraded"] = outcome.degraded
    if timing.first_token is not None:
        made["first_token"] = timing.first_token
    if entry.prompt_hash:
        made["prompt_hash"] = entry.prompt_hash
    if moves := escalations(outcome):
        made["escalations"] = list(map(_escalation_row, moves))
    return made


def _add_policy(made: dict[str, Any], entry: Entry) -> None:
    made["policy_start"], made["policy_reason"] = entry.policy_start
    if entry.threshold is not None:
        made["threshold"] = entry.threshold
    if entry.difficulty is not None:
        _add_difficulty(made, entry.difficulty)
    if entry.candidate is not None:
        _add_candidate(made, entry.candidate)
    if entry.propensity != 1.0:
        made["propensity"] = entry.propensity


def _add_origin(made: dict[str, Any], origin: Origin) -> None:
    made["entry_id"] = origin.entry_id
    made["request_id"] = origin.request_id
    made["started_at"] = origin.started_at
    made["api"] = origin.api
    made["requested_model"] = origin.requested_model
    if origin.stream:
        made["stream"] = True
    if origin.key:
        made["key"] = origin.key
    if origin.session:
        made["session"] = origin.session
    if origin.trace:
        made["trace_id"] = sent_trace_id(origin.trace)


def _add_sums(made: dict[str, Any], entry: Entry, attempts: Sequence[dict[str, Any]]) -> None:
    """Add what the attempts, by their rows, and the scorer's calls come to."""
    calls, discarded = entry.calls, 0
    for each in attempts:
        own = each["attempt"]
        if "served" not in own:
            discarded += own["cost"]
    scoring = scoring_cost(entry.scoring)
    made["attempt_count"] = len(attempts)
    made["call_count"] = len(calls)
    made["cost"] = entry.cost
    if discarded:
        made["discarded_cost"] = discarded
    if checking := entry.check_cost:
        made["check_cost"] = checking
    if scoring:
        made["score_cost"] = scoring
    if entry.gateway_cost:
        made["gateway_cost"] = entry.gateway_cost
    _add_usage(made, used_by(calls))


def _add_usage(made: dict[str, Any], usage: Usage) -> None:
    made["prompt_tokens"] = usage.prompt
    made["completion_tokens"] = usage.completion
    if usage.estimated:
        made["estimated"] = True
    if usage.cached or usage.cache_write or usage.reasoning:
        made["cached_tokens"] = usage.cached
        made["cache_write_tokens"] = usage.cache_write
        made["reasoning_tokens"] = usage.reasoning


def _add_difficulty(made: dict[str, Any], difficulty: Difficulty) -> None:
    made["difficulty"] = difficulty.value
    made["gain"] = difficulty.gain
    if difficulty.p_good:
        made["p_good"] = list(difficulty.p_good)
    made["scorer"] = difficulty.scorer
    made["score"] = difficulty.ranked
    made["profile"] = difficulty.profile
    made["unlike"] = difficulty.unlike
    made["met"] = difficulty.met


def _add_candidate(made: dict[str, Any], candidate: Difficulty) -> None:
    made["candidate"] = candidate.scorer
    made["candidate_score"] = candidate.ranked
    made["candidate_value"] = candidate.value
    made["candidate_met"] = candidate.met


def _add_baseline(made: dict[str, Any], baseline: Baseline) -> None:
    usage = baseline.usage
    made["baseline_tier"] = baseline.tier
    made["baseline_cost"] = baseline.cost
    made["baseline_policy"] = baseline.policy
    made["baseline_basis"] = baseline.basis
    made["baseline_prompt_tokens"] = usage.prompt
    made["baseline_completion_tokens"] = usage.completion
    made["baseline_price_hash"] = baseline.price
    if usage.cached:
        made["baseline_cached_tokens"] = usage.cached


def _check_row(item: Evidence) -> dict[str, Any]:
    finding = item.finding
    made = {"check": item.check, "result": finding.result, "seconds": item.seconds}
    _add_judgement(made, finding)
    if item.cost:
        made["cost"] = item.cost
    return made


def _add_judgement(made: dict[str, Any], said: Verdict | Finding) -> None:
    """Add why, how surely, and whether the reply is of no use as it is."""
    if said.reason:
        made["reason"] = said.reason
    if said.confidence is not None:
        made["confidence"] = said.confidence
    if said.broken:
        made["broken"] = True


def _escalation_row(move: Escalation) -> dict[str, Any]:
    return {
        "from": move.from_tier,
        "to": move.to_tier,
        "cause": move.cause,
        "reason": move.reason,
    }


def _word(verdict: Verdict) -> str:
    return "accept" if verdict.accepted else "defer"
