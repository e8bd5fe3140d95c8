"""An entry of the ledger as plain JSON values: the one shape that every store keeps."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gateway.core.decided import decided_row
from gateway.core.ledger import Entry, escalations, scoring_cost
from gateway.core.money import KINDS
from gateway.core.outcome import Attempt, CallRecord
from gateway.core.trace import sent_trace_id

SCHEMA = 2
"""Raise it when a field changes meaning."""


COST_COLUMNS = tuple(f"{kind}_cost" for kind in KINDS)
"""The columns of what a call cost, kind by kind; `cost` is their sum."""


def call_row(call: CallRecord) -> dict[str, Any]:
    """Flatten a call for a log or a database."""
    return {
        "call_id": call.call_id,
        "tier": call.tier,
        "upstream": call.upstream,
        "model": call.model,
        "started": call.started,
        "seconds": call.seconds,
        "first_token": call.first_token,
        "status": call.status,
        "bare": call.bare,
        "error": call.error,
        "prompt_tokens": call.usage.prompt,
        "cached_tokens": call.usage.cached,
        "cache_write_tokens": call.usage.cache_write,
        "completion_tokens": call.usage.completion,
        "reasoning_tokens": call.usage.reasoning,
        "estimated": call.usage.estimated,
        "cost": call.cost.total,
        "cache_write_1h_tokens": call.usage.cache_write_1h,
        "audio_input_tokens": call.usage.audio_input,
        "audio_output_tokens": call.usage.audio_output,
        "image_input_tokens": call.usage.image_input,
        "image_output_tokens": call.usage.image_output,
        "service_tier": call.usage.service,
        "rate": call.price.rate(call.usage),
        "price_version": call.price.version,
        "price_hash": call.price.digest,
        "provider_request_id": call.provider_id,
        **dict(zip(COST_COLUMNS, call.cost.amounts, strict=True)),
    }


def attempt_row(attempt: Attempt, *, served: bool, shadow: bool = False) -> dict[str, Any]:
    """Flatten an attempt with its calls and checks; a shadow's was made when all was over."""
    verdict = attempt.verdict
    return {
        "tier": attempt.tier.name,
        "recipe": attempt.tier.recipe.label if attempt.tier.recipe else "",
        "served": served,
        "failure": attempt.failure.kind if attempt.failure else "",
        "verdict": "" if verdict is None else "accept" if verdict.accepted else "defer",
        "reason": verdict.reason if verdict else "",
        "confidence": verdict.confidence if verdict else None,
        "broken": verdict.broken if verdict else False,
        "late_verdict": (
            "" if attempt.late is None else "accept" if attempt.late.accepted else "defer"
        ),
        "left": attempt.left,
        "bare": attempt.bare,
        "released": attempt.released,
        "altered": attempt.altered,
        "fitted": " ".join(attempt.fitted),
        "fallen": attempt.fallen,
        "rival": attempt.rival,
        "shadow": shadow,
        "cost": attempt.spent,
        "price_version": attempt.tier.price.version,
        "price_hash": attempt.tier.price.digest,
        "calls": [call_row(call) for call in attempt.calls],
        "checking": [call_row(call) for call in attempt.checking],
        "checks": [
            {
                "check": item.check,
                "result": item.finding.result,
                "reason": item.finding.reason,
                "confidence": item.finding.confidence,
                "broken": item.finding.broken,
                "seconds": item.seconds,
                "cost": item.cost,
            }
            for item in attempt.evidence
        ],
    }


def row(entry: Entry) -> dict[str, Any]:
    """Flatten an entry into plain JSON values: the one shape that every store keeps."""
    origin, outcome, difficulty = entry.origin, entry.outcome, entry.difficulty
    candidate = entry.candidate
    usage, policy, baseline = entry.usage, entry.policy_start, entry.baseline
    return {
        "schema": SCHEMA,
        "entry_id": origin.entry_id,
        "request_id": origin.request_id,
        "started_at": origin.started_at,
        "route": entry.route,
        "mode": entry.mode,
        "api": origin.api,
        "stream": origin.stream,
        "key": origin.key,
        "session": origin.session,
        "requested_model": origin.requested_model,
        "status": entry.status,
        "outcome": entry.ending,
        "tier": entry.served_tier,
        "start_tier": entry.start_tier,
        "start_reason": entry.start_reason,
        "policy_start": policy[0],
        "policy_reason": policy[1],
        "reason": entry.reason,
        "escalated": outcome.escalated,
        "degraded": outcome.degraded,
        "difficulty": difficulty.value if difficulty else None,
        "gain": difficulty.gain if difficulty else None,
        "p_good": list(difficulty.p_good) if difficulty else [],
        "scorer": difficulty.scorer if difficulty else "",
        "threshold": entry.threshold,
        "score": difficulty.ranked if difficulty else None,
        "profile": difficulty.profile if difficulty else "",
        "unlike": difficulty.unlike if difficulty else None,
        "candidate": candidate.scorer if candidate else "",
        "candidate_score": candidate.ranked if candidate else None,
        "candidate_value": candidate.value if candidate else None,
        "met": difficulty.met if difficulty else None,
        "candidate_met": candidate.met if candidate else None,
        "prompt_tokens": usage.prompt,
        "cached_tokens": usage.cached,
        "completion_tokens": usage.completion,
        "reasoning_tokens": usage.reasoning,
        "estimated": usage.estimated,
        "cost": entry.cost,
        "discarded_cost": entry.discarded,
        "shadow_cost": 0,  # a shadow is asked when the entry is kept; it adds to this itself
        "check_cost": entry.check_cost,
        "score_cost": scoring_cost(entry.scoring),
        "gateway_cost": entry.gateway_cost,
        "cache_write_tokens": usage.cache_write,
        "attempt_count": len(outcome.attempts),
        "call_count": sum(1 for _ in entry.calls),
        "finish_reason": entry.finish,
        "propensity": entry.propensity,
        "baseline_tier": baseline.tier,
        "baseline_cost": baseline.cost,
        "baseline_policy": baseline.policy,
        "baseline_basis": baseline.basis,
        "baseline_prompt_tokens": baseline.usage.prompt,
        "baseline_cached_tokens": baseline.usage.cached,
        "baseline_completion_tokens": baseline.usage.completion,
        "baseline_price_hash": baseline.price,
        "seconds": entry.timing.total,
        "first_token": entry.timing.first_token,
        "overhead": entry.timing.overhead,
        "decision": entry.timing.decision,
        "config": entry.config,
        "trace_id": sent_trace_id(origin.trace),
        "prompt_hash": entry.prompt_hash,
        "escalations": [
            {"from": e.from_tier, "to": e.to_tier, "cause": e.cause, "reason": e.reason}
            for e in escalations(outcome)
        ],
        "attempts": [attempt_row(a, served=a is outcome.served) for a in outcome.attempts],
        "prompt": asdict(entry.prompt) if entry.prompt else None,
        "scoring": [call_row(call) for call in entry.scoring],
        "decided": decided_row(entry.decided) if entry.decided else None,
    }
