"""What a conversation's past means for where its next request starts, and for what a call costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.core.plan import StartReason, Tier


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of a request's conversation.

    `latched` is the index of the lowest tier it may start at; `probe` says that this request may
    start lower all the same, to see whether that is good enough again. `warm` is the tier that
    served last, `history` how many tokens of the prompt its provider probably has in its cache.
    """

    latched: int = 0
    probe: bool = False
    warm: str = ""
    history: int = 0


NOTHING = Past()


def cached_at(tier: Tier, prompt: int, past: Past) -> int:
    """Return how many of a prompt's tokens `tier` is expected to read from its provider's cache."""
    return min(past.history, prompt) if tier.name == past.warm else 0


def wanted_start(
    tiers: Sequence[Tier], scored: int, past: Past, expected: Mapping[str, int]
) -> tuple[int, StartReason]:
    """Return the index of the tier to start at, and why, before hard rules.

    The score's word, but not under the latch; and not under a tier that has the conversation in
    its cache and is expected to cost no more than starting anew further down.
    """
    if not (past.latched or past.history):
        return scored, "score"
    latched = min(past.latched, len(tiers) - 1)
    at = max(scored, 0 if past.probe else latched)
    if past.history:
        warm = next((i for i, tier in enumerate(tiers) if tier.name == past.warm), 0)
        if warm > at and expected[past.warm] <= expected[tiers[at].name]:
            return warm, "cache"
    if at > scored:
        return at, "latch"
    return at, "probe" if past.probe and latched > at else "score"
