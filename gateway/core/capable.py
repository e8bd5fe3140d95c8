"""Which of a route's tiers can take a request at all: hard rules, before any score."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.accepts import elsewhere, foreign, param_of
from gateway.core.errors import BadRequest
from gateway.core.plan import Tier
from gateway.core.signals import Signals


def lacking(tier: Tier, signals: Signals) -> list[str]:
    """Name what a request wants and a tier does not take."""
    missed = []
    if demands := signals.demands:
        missed += [each for each in demands if each in tier.accepts.refuse]
        missed += foreign(tier.wire, demands)
        missed += elsewhere(tier.upstreams, demands)
    if signals.tools and not tier.takes_tools:
        missed.append("tools")
    if signals.images and not tier.takes_images:
        missed.append("images")
    return missed


def capable(tiers: Sequence[Tier], signals: Signals) -> list[Tier]:
    """Return the tiers that lack nothing. Raises BadRequest where there is none."""
    if not (signals.demands or signals.tools or signals.images):
        return list(tiers)
    able = []
    for tier in tiers:
        if not lacking(tier, signals):
            able.append(tier)
    if not able:
        missed = {each: None for tier in tiers for each in lacking(tier, signals)}
        told = f"No tier of this route takes {' and '.join(missed)}."
        raise BadRequest(told, param=param_of(next(iter(missed))))
    return able


def require_able(tier: Tier, signals: Signals) -> None:
    """Raise BadRequest where a tier's dialect has no words for what its client's dialect asks: no
    upstream could refuse that, since it would not hear of it."""
    demands = signals.demands
    if not demands:
        return
    lost = foreign(tier.wire, demands)
    if lost:
        raise BadRequest(
            f"Tier {tier.name!r} speaks {tier.wire!r}, which has no words for "
            f"{' and '.join(lost)}. "
            "Leave it out, or name a route with a tier that speaks your dialect.",
            code="unsupported_by_dialect",
        )
    if missed := elsewhere(tier.upstreams, demands):
        raise BadRequest(
            f"Tier {tier.name!r} cannot go on from {missed[0]}. Name the tier that made it.",
            param="previous_response_id",
        )


def fitting(tiers: Sequence[Tier], signals: Signals) -> list[Tier]:
    """Return the tiers whose window fits. The estimate is rough, so that when none does the
    widest stays and the upstream has the last word. A file's size says too little for that."""
    need = signals.prompt_tokens - signals.file_tokens + (signals.max_tokens or 0)
    fits = []
    for tier in tiers:
        if tier.context is None or tier.context >= need:
            fits.append(tier)
    return fits or [max(tiers, key=lambda tier: tier.context or 0)]
