"""Which label values there may be: names from the configuration, words of the core, or `other`."""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

from gateway.core.ledger import Entry
from gateway.core.outcome import Attempt
from gateway.core.plan import StartReason, Tier
from gateway.core.routing import Route
from gateway.core.scorer_spec import LlmSpec, RemoteSpec
from gateway.core.shadow import ShadowResult
from gateway.core.verdict import EARLY, REASONS

OTHER = "other"
OUTCOMES = ("ok", "client_error", "upstream_error", "timeout", "internal_error", "cancelled")
FAILURES = (
    "timeout",
    "connect",
    "server",
    "rate_limited",
    "overloaded",
    "bad_response",
    "auth",
    "rejected",
    "context_length",
    "content_filter",
    "unsupported",
    "not_found",
)
"""Every `kind` of the core's upstream errors."""
STATUSES = ("ok", "failed", "left", "cancelled")
KINDS = (
    *("input", "cache_read", "cache_write", "output", "request", "reasoning", "audio", "image"),
    *("check", "score", "shadow"),
)
"""The kinds of `core.money.Cost`, in its order, and the purposes that are told as one."""
FALLBACKS = (
    "timeout",
    "unreachable",
    "unusable",
    "rejected",
    "raised",
    "open",
    "budget",
    "deadline",
    "error",
)
"""Why a scorer that waits could not give a word of its own."""
SHADOW_RESULTS = get_args(ShadowResult)
AGREEMENTS = ("true", "false", "failed")
START_REASONS = frozenset(get_args(StartReason))
MOVE_REASONS = REASONS | {*FAILURES, "slow"}


class Names:
    """The configuration's names, of all configurations since the start."""

    def __init__(self) -> None:
        self.routes: set[str] = set()
        self._tiers: set[str] = {"none"}
        self._models: set[str] = set()
        self._checks: set[str] = set()
        self.waiting: set[str] = set()
        """Checks that wait for somebody."""

    def learn(self, route: Route) -> None:
        """Add a route's names."""
        self.routes.add(route.name)
        for tier in (*route.tiers, *scorer_tiers(route)):
            self._learn_tier(tier)

    def learn_alone(self, tier: Tier) -> None:
        """Add the names of a tier that is in no route: asked for by name, it is one of its own."""
        self.routes.add(tier.name)
        self._learn_tier(tier)

    def _learn_tier(self, tier: Tier) -> None:
        self._tiers.add(tier.name)
        self._models.add(tier.model)
        self._checks |= {EARLY, *(spec.name for spec in tier.bar.checks)}
        self.waiting |= {spec.name for spec in tier.bar.checks if spec.waits}

    def route(self, name: str) -> str:
        """Bound a route's name."""
        return name if name in self.routes else OTHER

    def tier(self, name: str) -> str:
        """Bound a tier's name."""
        return name if name in self._tiers else OTHER

    def model(self, name: str) -> str:
        """Bound a model's name."""
        return name if name in self._models else OTHER

    def check(self, name: str) -> str:
        """Bound a check's name."""
        return name if name in self._checks else OTHER


def scorer_tiers(route: Route) -> tuple[Tier, ...]:
    """Return what a route's scorer calls on its own account: one, or none."""
    spec = route.scorer
    return (spec.tier,) if isinstance(spec, RemoteSpec | LlmSpec) else ()


def among(word: str, known: Collection[str]) -> str:
    """Bound a word to a known set."""
    return word if word in known else OTHER


def discard_reason(attempt: Attempt, entry: Entry) -> str:
    """Say why what an attempt cost was spent in vain."""
    if attempt.outrun and not entry.outcome.cancelled:
        return "outrun"
    if attempt.failure is not None:
        return among(attempt.failure.kind, MOVE_REASONS)
    if attempt.verdict is not None and not attempt.verdict.accepted:
        return among(attempt.verdict.reason, MOVE_REASONS)
    return "cancelled" if entry.outcome.cancelled else OTHER
