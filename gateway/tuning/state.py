"""What is known of a route's tuning: one value, computed by one process and adopted by all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import isfinite
from typing import Any, Literal, Protocol

from gateway.core.difficulty import are_thresholds
from gateway.core.routing import Route

SCHEMA = 1
"""Of a state's JSON. A state of another one is not read, and made anew."""

ALARMS = ("score", "feature", "unlike", "share")
"""What may be wrong with the traffic: see drift."""
Basis = Literal["config", "start", "share", "quality", "conservative"]
"""Why a threshold is what it is: it is written in the configuration; a target's first guess, for
want of scores; fitted to a share; calibrated on labels; high quality for want of labels."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What a scorer's training says of the traffic it knows.

    `reference` ranks scores, None where the scorer has none. `watched` maps each character of a
    difficulty's profile, in order and by name, to the training data's shares in its ten buckets;
    `unlike_share` is the share of prompts that it would call unlike.
    """

    scorer: str
    reference: tuple[float, ...] | None = None
    watched: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    unlike_share: float = 0.01


class Known(Protocol):
    """Has a label: a scorer of any kind."""

    @property
    def label(self) -> str:
        """Its `name@version`."""
        ...


def yardstick(scorer: Known) -> Yardstick:
    """Read off a scorer what it has of the attributes `reference`, `watched`, `unlike_share`."""
    reference = getattr(scorer, "reference", None)
    return Yardstick(
        scorer.label,
        tuple(reference) if reference is not None and len(reference) > 1 else None,
        dict(getattr(scorer, "watched", None) or {}),
        float(getattr(scorer, "unlike_share", None) or 0.01),
    )


@dataclass(frozen=True, slots=True)
class Promise:
    """What is guaranteed: `quality` of the strong tier's, that is a loss of at most `alpha` a
    request, on average (`delta` None) or in all but `delta` of the calibrations.

    `n` labels are behind it, and it was made at a UNIX time in seconds. `void` since the traffic
    is no longer what they were drawn from.
    """

    quality: float
    alpha: float
    delta: float | None
    n: int
    made_at: float
    void: bool = False

    @property
    def kind(self) -> str:
        """How it is meant: in expectation, or with a probability."""
        return "expectation" if self.delta is None else "probability"


@dataclass(frozen=True, slots=True)
class Drift:
    """How the last window of traffic differs from the reference; None where it cannot be told.

    `routed` is the share that started over the first tier, `unlike` that of prompts unlike what
    the scorer learnt from. `alarms` maps what is wrong (score, feature, unlike, share) to the
    number in the ledger of the last request before it was noticed.
    """

    score_psi: float | None = None
    feature_psi: Mapping[str, float] = field(default_factory=dict)
    unlike: float | None = None
    routed: float | None = None
    alarms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """A route's tuning. `target` and `policy` say what it was made for: see `wanted`.

    `reference` is the gateway's own traffic's scores, None as long as the scorer's own count, and
    `features` the shares of its profile's buckets. `thresholds` is None where the configured ones
    hold; `told` is the first threshold that the log last told of. `seen` counts the scores so far,
    `through` is the number of the last of them, and from `settled` on (None: not yet) requests are
    known to have been routed by these thresholds. `labels` is the labelled requests behind the
    thresholds, `labels_digest` what they were, `missing` how many more are needed for a promise.
    """

    target: str
    policy: str
    basis: Basis
    reference: tuple[float, ...] | None = None
    features: tuple[tuple[float, ...], ...] = ()
    thresholds: tuple[float, ...] | None = None
    told: float | None = None
    seen: int = 0
    through: int = 0
    settled: int | None = None
    labels: int = 0
    labels_digest: int = 0
    missing: int = 0
    promise: Promise | None = None
    drift: Drift = field(default_factory=Drift)

    def is_for(self, route: Route) -> bool:
        """Was it made for what the route wants now?"""
        return (self.target, self.policy) == wanted(route)


@dataclass(frozen=True, slots=True)
class Held:
    """The newest state that a route has use for: `fits` says whether it was made for what the
    route wants now, or only its reference counts. `number` and `made_at` as in TuningRow."""

    state: State
    number: int
    made_at: float
    fits: bool


@dataclass(frozen=True, slots=True)
class InForce:
    """What a route's requests are planned by, for scores of `scorer`."""

    scorer: str
    reference: tuple[float, ...] | None
    thresholds: tuple[float, ...]
    basis: Basis


def wanted(route: Route) -> tuple[str, str]:
    """Name what a route wants of its thresholds, and of its reference."""
    target = route.target
    if target is None:
        return "config", route.reference
    if target.share is not None:
        return f"share {target.share:g} of {target.window}", route.reference
    asked = f"quality {target.quality:g} {target.confidence} {target.until:g}"
    # By name: labels say how good a tier is, whatever model is behind it.
    return f"{asked} {route.tiers[0].name} {route.tiers[-1].name}", route.reference


def write_state(state: State) -> str:
    """Write a state as JSON."""
    return json.dumps({"schema": SCHEMA, **asdict(state)}, separators=(",", ":"))


def read_state(text: str) -> State | None:
    """Read a state; None for one of another schema, and for what is no state at all."""
    try:
        data = json.loads(text)
        if data.pop("schema") != SCHEMA:
            return None
        return _state(data)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None


def _state(data: dict[str, Any]) -> State:
    """Build it; raises TypeError or ValueError for what does not fit."""
    drift, promise = data.pop("drift"), data.pop("promise")
    state = State(
        reference=_numbers(data.pop("reference")),
        thresholds=_numbers(data.pop("thresholds")),
        features=tuple(tuple(map(float, shares)) for shares in data.pop("features")),
        promise=None if promise is None else Promise(**promise),
        drift=Drift(**drift),
        **data,
    )
    reference, thresholds = state.reference, state.thresholds
    if reference is not None and not (len(reference) > 1 and _rises(reference)):
        raise ValueError("a reference rises")
    if thresholds is not None and not are_thresholds(thresholds):
        raise ValueError("thresholds are from 0 to 1")
    return state


def _numbers(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(map(float, values))


def _rises(values: Sequence[float]) -> bool:
    return all(map(isfinite, values)) and all(low <= high for low, high in pairwise(values))
