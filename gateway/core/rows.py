"""An entry of the ledger as plain JSON values: the one shape that every store keeps."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from gateway.core.baseline import Baseline
from gateway.core.blank_rows import ATTEMPT, CALL, REQUEST
from gateway.core.decided import decided_row
from gateway.core.difficulty import Difficulty
from gateway.core.ledger import Entry, Escalation, Origin, escalations, scoring_cost
from gateway.core.money import KINDS
from gateway.core.outcome import Attempt, CallRecord, used_by
from gateway.core.trace import sent_trace_id
from gateway.core.verdict import Evidence, Verdict

SCHEMA = 2
"""Raise it when a field changes meaning."""


COST_COLUMNS = tuple(f"{kind}_cost" for kind in KINDS)
"""The columns of what a call cost, kind by kind; `cost` is their sum."""
_CALL: Final = CALL | dict.fromkeys(COST_COLUMNS, 0)
_REQUEST: Final = REQUEST | {"schema": SCHEMA}


def rounded(seconds: float) -> float:
    """To a millionth, for a line or a mark: `round(seconds, 6)` goes by way of the decimal text."""
    return round(seconds * 1e6) / 1e6


def call_row(call: CallRecord) -> dict[str, Any]:
    """Flatten a call for a log or a database."""
    usage, price, amounts = call.usage, call.price, call.cost.amounts
    made = _CALL.copy()
    made["call_id"] = call.call_id
    made["tier"] = call.tier
    made["upstream"] = call.upstream
    made["model"] = call.model
    made["started"] = call.started
    made["seconds"] = call.seconds
    made["first_token"] = call.first_token
    made["status"] = call.status
    made["bare"] = call.bare
    made["error"] = call.error
    made["prompt_tokens"] = usage.prompt
    made["cached_tokens"] = usage.cached
    made["cache_write_tokens"] = usage.cache_write
    made["completion_tokens"] = usage.completion
    made["reasoning_tokens"] = usage.reasoning
    made["estimated"] = usage.estimated
    made["cost"] = sum(amounts)
    made["cache_write_1h_tokens"] = usage.cache_write_1h
    made["audio_input_tokens"] = usage.audio_input
    made["audio_output_tokens"] = usage.audio_output
    made["image_input_tokens"] = usage.image_input
    made["image_output_tokens"] = usage.image_output
    made["service_tier"] = usage.service
    made["rate"] = price.rate(usage)
    made["price_version"] = price.version
    made["price_hash"] = price.digest
    made["provider_request_id"] = call.provider_id
    for column, amount in zip(COST_COLUMNS, amounts, strict=True):
        made[column] = amount
    return made


def attempt_row(attempt: Attempt, *, served: bool, shadow: bool = False) -> dict[str, Any]:
    """Flatten an attempt with its calls and checks; a shadow's was made when all was over."""
    tier, verdict = attempt.tier, attempt.verdict
    made = ATTEMPT.copy()
    made["tier"] = tier.name
    if tier.recipe:
        made["recipe"] = tier.recipe.label
    made["served"] = served
    if attempt.failure:
        made["failure"] = attempt.failure.kind
    if verdict is not None:
        made["verdict"] = _word(verdict)
        made["reason"] = verdict.reason
        made["confidence"] = verdict.confidence
        made["broken"] = verdict.broken
    if attempt.late is not None:
        made["late_verdict"] = _word(attempt.late)
    made["left"] = attempt.left
    made["bare"] = attempt.bare
    made["released"] = attempt.released
    made["altered"] = attempt.altered
    made["fitted"] = " ".join(attempt.fitted)
    made["fallen"] = attempt.fallen
    made["rival"] = attempt.rival
    made["shadow"] = shadow
    made["cost"] = attempt.spent
    made["price_version"] = tier.price.version
    made["price_hash"] = tier.price.digest
    made["calls"] = list(map(call_row, attempt.calls))
    made["checking"] = list(map(call_row, attempt.checking))
    made["checks"] = list(map(_check_row, attempt.evidence))
    return made


def row(entry: Entry) -> dict[str, Any]:
    """Flatten an entry into plain JSON values: the one shape that every store keeps."""
    outcome, timing = entry.outcome, entry.timing
    made = _REQUEST.copy()
    _add_origin(made, entry.origin)
    made["route"] = entry.route
    made["mode"] = entry.mode
    made["status"] = entry.status
    made["outcome"] = entry.ending
    made["tier"] = entry.served_tier
    made["start_tier"] = entry.start_tier
    made["start_reason"] = entry.start_reason
    made["policy_start"], made["policy_reason"] = entry.policy_start
    made["reason"] = entry.reason
    made["escalated"] = outcome.escalated
    made["degraded"] = outcome.degraded
    made["threshold"] = entry.threshold
    if entry.difficulty is not None:
        _add_difficulty(made, entry.difficulty)
    if entry.candidate is not None:
        _add_candidate(made, entry.candidate)
    _add_sums(made, entry)
    made["finish_reason"] = entry.finish
    made["propensity"] = entry.propensity
    _add_baseline(made, entry.baseline)
    made["seconds"] = timing.total
    made["first_token"] = timing.first_token
    made["overhead"] = timing.overhead
    made["decision"] = timing.decision
    made["config"] = entry.config
    made["prompt_hash"] = entry.prompt_hash
    if moves := escalations(outcome):
        made["escalations"] = list(map(_escalation_row, moves))
    if entry.prompt:
        made["prompt"] = asdict(entry.prompt)
    if entry.decided:
        made["decided"] = decided_row(entry.decided)
    return made


def _add_origin(made: dict[str, Any], origin: Origin) -> None:
    made["entry_id"] = origin.entry_id
    made["request_id"] = origin.request_id
    made["started_at"] = origin.started_at
    made["api"] = origin.api
    made["stream"] = origin.stream
    made["key"] = origin.key
    made["session"] = origin.session
    made["requested_model"] = origin.requested_model
    made["trace_id"] = sent_trace_id(origin.trace)


def _add_sums(made: dict[str, Any], entry: Entry) -> None:
    """Add the attempts and the scorer's calls, and what they come to."""
    served, calls = entry.outcome.served, entry.calls
    attempts, spent, discarded = [], 0, 0
    for attempt in entry.outcome.attempts:
        one = attempt_row(attempt, served=attempt is served)
        attempts.append(one)
        spent += one["cost"]
        if attempt is not served:
            discarded += one["cost"]
    scoring, usage = scoring_cost(entry.scoring), used_by(calls)
    made["prompt_tokens"] = usage.prompt
    made["cached_tokens"] = usage.cached
    made["completion_tokens"] = usage.completion
    made["reasoning_tokens"] = usage.reasoning
    made["estimated"] = usage.estimated
    made["cost"] = spent + scoring
    made["discarded_cost"] = discarded
    made["check_cost"] = entry.check_cost
    made["score_cost"] = scoring
    made["gateway_cost"] = entry.gateway_cost
    made["cache_write_tokens"] = usage.cache_write
    made["attempt_count"] = len(attempts)
    made["call_count"] = len(calls)
    made["attempts"] = attempts
    made["scoring"] = list(map(call_row, entry.scoring))


def _add_difficulty(made: dict[str, Any], difficulty: Difficulty) -> None:
    made["difficulty"] = difficulty.value
    made["gain"] = difficulty.gain
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
    made["baseline_tier"] = baseline.tier
    made["baseline_cost"] = baseline.cost
    made["baseline_policy"] = baseline.policy
    made["baseline_basis"] = baseline.basis
    made["baseline_prompt_tokens"] = baseline.usage.prompt
    made["baseline_cached_tokens"] = baseline.usage.cached
    made["baseline_completion_tokens"] = baseline.usage.completion
    made["baseline_price_hash"] = baseline.price


def _check_row(item: Evidence) -> dict[str, Any]:
    finding = item.finding
    return {
        "check": item.check,
        "result": finding.result,
        "reason": finding.reason,
        "confidence": finding.confidence,
        "broken": finding.broken,
        "seconds": item.seconds,
        "cost": item.cost,
    }


def _escalation_row(move: Escalation) -> dict[str, Any]:
    return {
        "from": move.from_tier,
        "to": move.to_tier,
        "cause": move.cause,
        "reason": move.reason,
    }


def _word(verdict: Verdict) -> str:
    return "accept" if verdict.accepted else "defer"
