"""Would a held draft have been left early, or not, under another policy as under its own?

Of a draft nothing is kept but how it ended: not where in it a loop or a refusal began. So what is
known is what the old watch would have seen too. (`gateway.core.early`, and the engine's rules for
whom it leaves: only for a tier that deadline and ceiling allow, and only on a verdict.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.core.cascade import may_escalate
from gateway.core.early import DOUBT, LOOP, PROSE
from gateway.core.judging import weigh
from gateway.core.outcome import Attempt
from gateway.core.plan import Plan, Tier
from gateway.core.verdict import EARLY, Evidence, Finding

_FINDINGS: Final[Mapping[str, Finding]] = {
    "logprob": DOUBT,
    "repetition": LOOP,
    "format": PROSE,
    "refusal": Finding("fail", "refusal"),
}
_BELIED: Final[Mapping[str, str]] = {
    "format": "format",
    "refusal": "refusal",
    "repetition": "shape",
}
"""Checks of the whole that would have failed what the watch is for: prose in place of JSON and a
refusal in the beginning for certain; a loop only where it ended in a cut, as loops mostly do."""


@dataclass(frozen=True, slots=True)
class Side:
    """A plan, its tier, and the attempts and the seconds until the draft was over, or left."""

    plan: Plan
    tier: Tier
    attempts: tuple[Attempt, ...]
    elapsed: float

    @property
    def triggers(self) -> dict[str, float]:
        """What a draft is watched for: with a log-probability its bound, else 1."""
        early, checks = self.tier.bar.early, {spec.name for spec in self.tier.bar.checks}
        if not self.plan.judges(self.tier) or self.plan.hold(self.tier).policy == "none":
            return {}
        watched = {
            "logprob": early.logprob or 0.0,
            "repetition": float(early.repetition),
            "format": float(early.format and "format" in checks),
            "refusal": float(early.refusal and "refusal" in checks),
        }
        return {name: bound for name, bound in watched.items() if bound}

    def leaves(self, trigger: str) -> bool:
        """Is a draft left for this?"""
        evidence = (Evidence(EARLY, _FINDINGS[trigger]),)
        return not weigh(self.plan, self.tier, evidence, whole=False).accepted

    @property
    def may_leave(self) -> bool:
        """Did deadline and ceiling allow it, to the end?"""
        return may_escalate(self.plan, self.attempts, self.tier, self.elapsed)


def left_for(evidence: Sequence[Evidence]) -> str | None:
    """Return what a draft was left early for, None where it was not."""
    reasons = [item.finding.reason for item in evidence if item.check == EARLY]
    if not reasons:
        return None
    return next((name for name, each in _FINDINGS.items() if each.reason == reasons[0]), "refusal")


def same_end(then: Side, now: Side, evidence: Sequence[Evidence]) -> bool:
    """Is it known to end as it did: left early for what the evidence says, or not at all?"""
    new, old, trigger = now.triggers, _seen(then, now), left_for(evidence)
    if not new:
        return trigger is None
    passed = {item.check for item in evidence if item.finding.result != "fail"}
    open_ones = {name: bound for name, bound in new.items() if _BELIED.get(name) not in passed}
    seen = all(
        old.get(name, 0.0) >= bound and (then.leaves(name) or not now.leaves(name))
        for name, bound in open_ones.items()
    )
    if trigger is None:
        return seen and (then.may_leave or not open_ones)
    again = new.get(trigger) == old.get(trigger) and now.leaves(trigger)
    return seen and again and now.may_leave


def _seen(then: Side, now: Side) -> dict[str, float]:
    """What the old watch had looked for as long as the new one would."""
    before, after = then.plan.hold(then.tier), now.plan.hold(now.tier)
    return then.triggers if before in (after, type(before)("reply")) else {}
