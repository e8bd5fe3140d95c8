"""Is this reply good enough? Evidence from checks goes in, one verdict comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.asking import Asks
from gateway.core.chat import ChatRequest, Reply
from gateway.core.combine import Combiner
from gateway.core.quick import maker, quick

Result = Literal["pass", "fail", "abstain"]

REASONS = frozenset(
    {
        "empty",
        "truncated",
        "refusal",
        "repetition",
        "schema_invalid",
        "tool_error",
        "check_failed",
        "unsure",
        "low_confidence",
        "no_gain",
        "passed",
        "prefix_passed",
        "trusted",
        "last_tier",
        "fall_down",
        "cached",
    }
)
"""Every reason a verdict may carry: bounded, since it becomes a metric's label."""
BARRED = ("budget", "deadline")
"""Why a check was not bought: its price, or the time, was over what the request may take."""
ABSTENTIONS = frozenset(
    {
        *BARRED,
        "timeout",
        "error",
        "raised",
        "unusable",
        "unreachable",
        "rejected",
        "open",
        "unfit",
        "left",
    }
)
"""Why a check that waits had nothing to say, where there is more to tell than that: bounded too."""


@quick
@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `broken` marks a fault that defers whatever the gain would be;
    `confidence` is the check's own estimate, 0..1, that the reply is good. `detail` tells the
    model what was wrong when it is asked once more; it may quote the reply, and is never kept."""

    result: Result
    reason: str = ""
    confidence: float | None = None
    broken: bool = False
    detail: str = field(default="", compare=False, repr=False)


ABSTAIN = Finding("abstain")
PASS = Finding("pass")

Check = Callable[[ChatRequest, Reply], Finding]
"""A question put to a reply. Given an incomplete one, it abstains if it needs the whole."""


@quick
@dataclass(frozen=True, slots=True)
class Evidence:
    """A finding with what it took to get it: seconds, and nano-dollars."""

    check: str
    finding: Finding
    seconds: float = 0.0
    cost: int = 0


new_evidence = maker(Evidence)


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A check a bar asks for, and what one run of it is expected to cost in nano-dollars.

    `waits` marks one that has to wait for somebody: a model, a process, a thread. `asks` is what
    it asks of a model, and prices it for each request anew; `concurrent` starts it with the draft.
    """

    name: str
    cost: int = 0
    waits: bool = False
    asks: Asks | None = None
    concurrent: bool = False

    @property
    def free(self) -> bool:
        """May it be put to any reply, since it takes neither money nor time?"""
        return not (self.cost or self.waits)


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
    better by at least `min_gain`; both are probabilities. `repair` asks the same tier once more,
    told what was wrong, for a reply of the wrong form; `at_once` buys all checks that wait
    together, and not one after the other. With a
    `combiner` its confidence is a calibrated one, and it says which paid checks are worth their
    price.
    """

    accept: float = 0.7
    min_gain: float = 0.05
    checks: tuple[CheckSpec, ...] = ()
    repair: bool = False
    at_once: bool = False
    early: Early = field(default_factory=Early)
    combiner: Combiner | None = None
    free: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The checks that are free, by name; made of `checks`, as what follows."""
    paid: tuple[CheckSpec, ...] = field(init=False, repr=False, compare=False)
    """Those that are not."""
    needs_logprobs: bool = field(init=False, repr=False, compare=False)
    """Must the upstream be asked for token log-probabilities?"""

    def __post_init__(self) -> None:
        """Sort once what would be sorted at each request."""
        free = tuple(spec.name for spec in self.checks if spec.free)
        object.__setattr__(self, "free", free)
        object.__setattr__(self, "paid", tuple(spec for spec in self.checks if not spec.free))
        needs_logprobs = any(spec.name == "logprob" for spec in self.checks)
        object.__setattr__(self, "needs_logprobs", needs_logprobs)


def still_open(checks: tuple[str, ...], evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """Return those of these checks that are not in the evidence."""
    if not evidence:
        return checks
    known = set()
    for item in evidence:
        known.add(item.check)
    return () if known.issuperset(checks) else tuple(name for name in checks if name not in known)


@quick
@dataclass(frozen=True, slots=True)
class Verdict:
    """Accept or defer, why, and how sure (None when nothing measured it)."""

    accepted: bool
    reason: str
    confidence: float | None = None
    broken: bool = False


PASSED = Verdict(accepted=True, reason="passed")
TRUSTED = Verdict(accepted=True, reason="trusted")
LAST_TIER = Verdict(accepted=True, reason="last_tier")
FALL_DOWN = Verdict(accepted=True, reason="fall_down")


def judge(
    bar: Bar,
    evidence: Sequence[Evidence],
    next_good: float | None,
    own_good: float | None = None,
    *,
    whole: bool = True,
) -> Verdict:
    """Weigh the evidence. `next_good` and `own_good` are what the scorer says, P(the next tier is
    good) and P(this one is), None when nobody knows; not `whole` is a draft's prefix.

    A failed check means no confidence at all; else the least sure check speaks. The bar's combiner
    speaks for the checks that it knows, but not of a prefix on which none of them has a word. A
    next tier that is not expected to do better by `min_gain` is not worth calling, unless the reply
    is broken.
    """
    failed = None
    for item in evidence:
        finding = item.finding
        if finding.result == "fail":
            if finding.broken:
                return Verdict(False, finding.reason, 0.0, broken=True)
            failed = failed or finding
    combiner = bar.combiner
    if combiner is None:
        return _by_the_least(bar, evidence, next_good)
    known = [item for item in evidence if combiner.knows(item.check)]
    said = {item.check: _stated(item.finding) for item in known}
    if not (whole or any(each is not None for each in said.values())):
        return _by_the_least(bar, evidence, next_good)
    others = [item for item in evidence if item.check not in said]
    if any(item.finding.result == "fail" for item in others):
        return _by_the_least(bar, others, next_good)
    weighed = combiner.weigh(said, own_good, next_good)
    stated = [item.finding.confidence for item in others if item.finding.confidence is not None]
    reason = failed.reason if failed else "low_confidence"
    return _at_the_bar(bar, min([weighed.own, *stated]), weighed.next, reason)


def _stated(finding: Finding) -> float | None:
    """What a finding comes to as a confidence; None for an abstention."""
    if finding.result == "abstain":
        return None
    return float(finding.result == "pass") if finding.confidence is None else finding.confidence


def _by_the_least(bar: Bar, evidence: Sequence[Evidence], next_good: float | None) -> Verdict:
    """Judge without a combiner."""
    least = None
    for item in evidence:
        finding = item.finding
        if finding.result == "fail":
            if _no_gain(bar, 0.0, next_good):
                return Verdict(accepted=True, reason="no_gain", confidence=0.0)
            return Verdict(False, finding.reason, 0.0)
        if finding.confidence is not None:
            least = finding.confidence if least is None else min(least, finding.confidence)
    return _at_the_bar(bar, least, next_good, "low_confidence")


def _at_the_bar(
    bar: Bar, confidence: float | None, next_good: float | None, reason: str
) -> Verdict:
    """Accept, or defer for this reason."""
    if confidence is None:
        return PASSED
    if confidence >= bar.accept:
        return Verdict(accepted=True, reason="passed", confidence=confidence)
    if _no_gain(bar, confidence, next_good):
        return Verdict(accepted=True, reason="no_gain", confidence=confidence)
    return Verdict(accepted=False, reason=reason, confidence=confidence)


def _no_gain(bar: Bar, confidence: float, next_good: float | None) -> bool:
    return next_good is not None and next_good - confidence < bar.min_gain
