"""Is this reply good enough? Evidence from checks goes in, one verdict comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.chat import ChatRequest, Reply

Result = Literal["pass", "fail", "abstain"]

REASONS = frozenset(
    {
        "empty",
        "truncated",
        "refusal",
        "repetition",
        "schema_invalid",
        "tool_error",
        "unsure",
        "low_confidence",
        "no_gain",
        "passed",
        "prefix_passed",
        "trusted",
        "last_tier",
        "fall_down",
    }
)
"""Every reason a verdict may carry: bounded, since it becomes a metric's label."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `broken` marks a fault that defers whatever the gain would be;
    `confidence` is the check's own estimate, 0..1, that the reply is good."""

    result: Result
    reason: str = ""
    confidence: float | None = None
    broken: bool = False


ABSTAIN = Finding("abstain")
PASS = Finding("pass")

Check = Callable[[ChatRequest, Reply], Finding]
"""A question put to a reply. Given an incomplete one, it abstains if it needs the whole."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A finding with what it took to get it: seconds, and nano-dollars."""

    check: str
    finding: Finding
    seconds: float = 0.0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A check a bar asks for, and what one run of it is expected to cost in nano-dollars."""

    name: str
    cost: int = 0


EARLY = "early"
"""What stands in the evidence of a draft that was left before its hold was over."""


@dataclass(frozen=True, slots=True)
class Early:
    """What makes a held draft lost before its hold is over; nothing, unless it is said.

    `logprob` is a probability: lost is a choice whose 10 % quantile of its tokens' is under it,
    once there are a few. `refusal` and `format` are for a bar with these checks.
    """

    logprob: float | None = None
    refusal: bool = False
    repetition: bool = False
    format: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """What a tier's reply must reach.

    It is deferred only when its confidence is below `accept` and the next tier is expected to do
    better by at least `min_gain`; both are probabilities.
    """

    accept: float = 0.7
    min_gain: float = 0.05
    checks: tuple[CheckSpec, ...] = ()
    early: Early = field(default_factory=Early)

    @property
    def needs_logprobs(self) -> bool:
        """Must the upstream be asked for token log-probabilities?"""
        return any(spec.name == "logprob" for spec in self.checks)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accept or defer, why, and how sure (None when nothing measured it)."""

    accepted: bool
    reason: str
    confidence: float | None = None
    broken: bool = False


TRUSTED = Verdict(accepted=True, reason="trusted")
LAST_TIER = Verdict(accepted=True, reason="last_tier")
FALL_DOWN = Verdict(accepted=True, reason="fall_down")


def judge(bar: Bar, evidence: Sequence[Evidence], next_good: float | None) -> Verdict:
    """Weigh the evidence. `next_good` is P(the next tier is good), None when nobody knows.

    A failed check means no confidence at all; else the least sure check speaks. A next tier that
    is not expected to do better by `min_gain` is not worth calling, unless the reply is broken.
    """
    failed = [item.finding for item in evidence if item.finding.result == "fail"]
    for finding in sorted(failed, key=lambda finding: not finding.broken):
        if not finding.broken and _no_gain(bar, 0.0, next_good):
            return Verdict(accepted=True, reason="no_gain", confidence=0.0)
        return Verdict(False, finding.reason, 0.0, finding.broken)
    stated = [item.finding.confidence for item in evidence if item.finding.confidence is not None]
    confidence = min(stated, default=None)
    if confidence is None or confidence >= bar.accept:
        return Verdict(accepted=True, reason="passed", confidence=confidence)
    if _no_gain(bar, confidence, next_good):
        return Verdict(accepted=True, reason="no_gain", confidence=confidence)
    return Verdict(accepted=False, reason="low_confidence", confidence=confidence)


def _no_gain(bar: Bar, confidence: float, next_good: float | None) -> bool:
    return next_good is not None and next_good - confidence < bar.min_gain
