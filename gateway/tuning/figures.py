"""What is in force and how it stands, as figures for metrics and as JSON for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.core.routing import Route
from gateway.tuning.fit import labels_missing, share_expected
from gateway.tuning.state import ALARMS, Drift, InForce, Promise, State, Yardstick

Labels = tuple[str, ...]
Figure = tuple[str, Labels, float | None]
"""A metric without its prefix, the labels it has beside the route, and a value, if there is one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A route and what is in force for it; `state` is None when nothing is known of what it wants
    now."""

    route: Route
    yard: Yardstick
    in_force: InForce
    state: State | None

    @property
    def for_quality(self) -> bool:
        """Is its target one of quality?"""
        return self.route.target is not None and self.route.target.quality is not None

    @property
    def missing(self) -> int:
        """How many more labels its target of quality needs for a promise."""
        if self.state is not None:
            return self.state.missing
        return labels_missing(self.route.target) if self.route.target else 0

    @property
    def drift(self) -> Drift:
        """How its traffic differs."""
        return self.state.drift if self.state else Drift()


def describe(standing: Standing) -> dict[str, Any]:
    """Say how a route stands, as JSON values."""
    found, state = standing.in_force, standing.state
    return {
        "basis": found.basis,
        "reference": "own" if found.reference else "artefact",
        "scores": state.seen if state else 0,
        "labels": state.labels if state else 0,
        "labels_missing": standing.missing,
        "promise": _promise(state.promise) if state and state.promise else None,
        "alarms": sorted(standing.drift.alarms),
    }


def _promise(promise: Promise) -> dict[str, Any]:
    return {
        "quality": promise.quality,
        "kind": promise.kind,
        "alpha": promise.alpha,
        "delta": promise.delta,
        "labels": promise.n,
        "made_at": promise.made_at,
        "void": promise.void,
    }


def figures(standings: Iterable[Standing]) -> dict[str, dict[Labels, float]]:
    """Gather figures by metric and labels; what is not known has none."""
    told: dict[str, dict[Labels, float]] = {}
    for standing in standings:
        quality = _of_quality(standing) if standing.for_quality else []
        for metric, labels, value in [*_of_all(standing), *quality]:
            if value is not None:
                told.setdefault(metric, {})[standing.route.name, *labels] = value
    return told


def _of_all(standing: Standing) -> list[Figure]:
    found, drift, state = standing.in_force, standing.drift, standing.state
    ranked = found.reference is not None or standing.yard.reference is not None
    return [
        ("threshold", (), found.thresholds[0]),
        ("target_share", (), share_expected(standing.route, ranked=ranked)),
        ("routed_share", (), drift.routed),
        ("score_psi", (), drift.score_psi),
        *[("feature_psi", (name,), index) for name, index in drift.feature_psi.items()],
        ("unlike_share", (), drift.unlike),
        ("tuning_scores", (), float(state.seen) if state else 0.0),
        *[("drift_alarm", (kind,), float(kind in drift.alarms)) for kind in ALARMS],
    ]


def _of_quality(standing: Standing) -> list[Figure]:
    state, target = standing.state, standing.route.target
    promise = state.promise if state else None
    kind = "probability" if target and target.confidence is not None else "expectation"
    return [
        ("promise", (kind,), float(promise is not None and not promise.void)),
        ("tuning_labels", (), float(state.labels) if state else 0.0),
        ("tuning_labels_missing", (), float(standing.missing)),
    ]
