"""What a route's threshold is, or is to bring about, for a person and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.core.ports import Assessor, Scorer
from gateway.core.routing import Route
from gateway.core.tuning import quality_threshold
from gateway.store.connection import Place

if TYPE_CHECKING:
    from gateway.tuning import Tuned


def describe(route: Route) -> dict[str, Any] | None:
    """Return a target as JSON values, with the labels it needs at the least; None without one."""
    target = route.target
    if target is None:
        return None
    if target.share is not None:
        return {"share": target.share, "window": target.window}
    return {
        "quality": target.quality,
        "confidence": target.confidence,
        "until": target.until,
        "labels_at_least": _labels(route),
    }


def told(route: Route) -> str:
    """Say from which difficulty a route starts higher, and what moves that."""
    steps = ", ".join(f"{value:g}" for value in route.thresholds)
    target = route.target
    if target is None:
        return f"starts higher from difficulty {steps}"
    if target.share is not None:
        return (
            f"starts {target.share:.4g} of its traffic higher, by its last {target.window} scores "
            f"(from difficulty {steps} until there are enough)"
        )
    how = "on average" if target.confidence is None else f"with a confidence of {target.confidence}"
    return (
        f"keeps {target.quality:g} of the strong tier's quality, {how}, once there are at least "
        f"{_labels(route)} labels (starts higher from difficulty {steps} until then)"
    )


def in_force(ledger: Place, route: Route, scorer: Scorer | Assessor) -> Tuned:
    """Return what is in force for a route, as far as its ledger tells: without one, what a new
    gateway starts with."""
    from gateway.store.archive import Archive
    from gateway.tuning import Tuned, yardsticks

    tuned = Tuned({route.name: route}, yardsticks({route.name: scorer}))
    try:
        rows = Archive(ledger).tunings()
    except OSError:
        return tuned
    for row in rows.values():
        tuned.adopt(row)
    return tuned


def _labels(route: Route) -> int:
    quality = route.target.quality if route.target else None
    confidence = route.target.confidence if route.target else None
    return quality_threshold([], [], [], quality, confidence).missing if quality else 0
