"""An entry as spans: the request, each attempt with its calls, each check. No text of anybody's.

Names and attributes are OpenTelemetry's for generative AI where it has them, else `waterfall.*`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.ledger import Entry, reason_of
from gateway.core.money import NANO, Usage
from gateway.core.outcome import Attempt, CallRecord
from gateway.core.trace import Trace, span_id
from gateway.core.verdict import Evidence

Value = str | int | float | bool
Kind = Literal["server", "client", "internal"]
OPERATION = "chat"
PROVIDER = "openai"
"""The wire that upstreams speak, which is what the conventions mean by a provider."""
_LONGEST = 128


@dataclass(frozen=True, slots=True)
class Span:
    """One span. `start` and `end` are UNIX times in seconds; `error` is a kind of failure, empty
    where there was none."""

    name: str
    kind: Kind
    span_id: int
    parent: int
    start: float
    end: float
    error: str = ""
    attributes: dict[str, Value] = field(default_factory=dict)


def spans_of(entry: Entry, trace: Trace) -> Iterator[Span]:
    """Return a request's spans, the request's own first.

    When a check began is not in the record: it is drawn from its attempt's end.
    """
    own, began = span_id(entry.origin.entry_id), entry.origin.started_at
    yield _request(entry, own, trace.parent)
    for call in entry.scoring:
        yield _call(call, "score", own, began)
    steps = 0
    for attempt in entry.outcome.attempts:
        steps += 1
        tried = _attempt(entry, attempt, span_id(entry.origin.entry_id, steps), own)
        yield tried
        for call in attempt.calls:
            yield _call(call, "serve", tried.span_id, began)
        for call in attempt.checking:
            yield _call(call, "check", tried.span_id, began)
        for evidence in attempt.evidence:
            steps += 1
            yield _check(evidence, span_id(entry.origin.entry_id, steps), tried)


def _request(entry: Entry, own: int, parent: int) -> Span:
    served = entry.outcome.served
    asked = entry.origin.requested_model[:_LONGEST]
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": "waterfall",
        "gen_ai.request.model": asked,
        "gen_ai.request.stream": entry.origin.stream,
        "http.response.status_code": entry.status,
        "waterfall.entry_id": entry.origin.entry_id,
        "waterfall.route": entry.route,
        "waterfall.tier": entry.served_tier,
        "waterfall.start_tier": entry.start_tier,
        "waterfall.start_reason": entry.start_reason,
        "waterfall.reason": entry.reason,
        "waterfall.escalated": entry.outcome.escalated,
        "waterfall.degraded": entry.outcome.degraded,
        "waterfall.cost_usd": entry.cost / NANO,
    }
    if entry.difficulty is not None:
        attributes["waterfall.difficulty"] = entry.difficulty.value
    if served is not None and served.calls:
        attributes["gen_ai.response.model"] = served.calls[-1].model
        attributes |= _tokens(served.calls[-1].usage)
    if entry.origin.stream and entry.timing.first_token is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = entry.timing.first_token
    start = entry.origin.started_at
    return Span(
        name=f"{OPERATION} {entry.route}",
        kind="server",
        span_id=own,
        parent=parent,
        start=start,
        end=start + entry.timing.total,
        error="" if entry.ending == "ok" else entry.ending,
        attributes=attributes,
    )


def _attempt(entry: Entry, attempt: Attempt, own: int, parent: int) -> Span:
    ends = [call.started + call.seconds for call in attempt.calls]
    starts = [call.started for call in attempt.calls]
    began = entry.origin.started_at
    attributes: dict[str, Value] = {
        "waterfall.tier": attempt.tier.name,
        "waterfall.served": attempt is entry.outcome.served,
        "waterfall.released": attempt.released,
        "waterfall.outrun": attempt.outrun,
        "waterfall.cost_usd": attempt.spent / NANO,
    }
    if attempt.verdict is not None:
        attributes["waterfall.verdict"] = "accept" if attempt.verdict.accepted else "defer"
        attributes["waterfall.reason"] = reason_of(attempt)
    return Span(
        name=f"attempt {attempt.tier.name}",
        kind="internal",
        span_id=own,
        parent=parent,
        start=began + min(starts, default=0.0),
        end=began + max(ends, default=0.0),
        error=attempt.failure.kind if attempt.failure else "",
        attributes=attributes,
    )


def _call(call: CallRecord, purpose: str, parent: int, began: float) -> Span:
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": call.model,
        "waterfall.upstream": call.upstream,
        "waterfall.tier": call.tier,
        "waterfall.purpose": purpose,
        "waterfall.status": call.status,
        "waterfall.cost_usd": call.cost.total / NANO,
        "waterfall.estimated": call.usage.estimated,
        **_tokens(call.usage),
    }
    return Span(
        name=f"{OPERATION} {call.model}",
        kind="client",
        span_id=span_id(call.call_id),
        parent=parent,
        start=began + call.started,
        end=began + call.started + call.seconds,
        error=(call.error or "other") if call.status == "failed" else "",
        attributes=attributes,
    )


def _check(evidence: Evidence, own: int, attempt: Span) -> Span:
    attributes: dict[str, Value] = {
        "waterfall.check": evidence.check,
        "waterfall.result": evidence.finding.result,
        "waterfall.reason": evidence.finding.reason,
        "waterfall.cost_usd": evidence.cost / NANO,
    }
    if evidence.finding.confidence is not None:
        attributes["waterfall.confidence"] = evidence.finding.confidence
    return Span(
        name=f"check {evidence.check}",
        kind="internal",
        span_id=own,
        parent=attempt.span_id,
        start=attempt.end,
        end=attempt.end + evidence.seconds,
        attributes=attributes,
    )


def _tokens(usage: Usage) -> dict[str, Value]:
    told = {
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.output_tokens": usage.completion,
        "gen_ai.usage.cache_read.input_tokens": usage.cached,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
    }
    return {name: count for name, count in told.items() if count}
