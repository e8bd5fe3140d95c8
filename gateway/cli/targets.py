"""What a route's threshold is, or is to bring about, for a person and as JSON."""

from __future__ import annotations

from typing import Any

from gateway.core.routing import Route
from gateway.core.tuning import quality_threshold


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


def _labels(route: Route) -> int:
    quality = route.target.quality if route.target else None
    confidence = route.target.confidence if route.target else None
    return quality_threshold([], [], [], quality, confidence).missing if quality else 0
