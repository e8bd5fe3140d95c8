"""From scores and labels of the past to the next state of a route's tuning. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.core.ports import Labelled, Scored
from gateway.core.ranks import rank, reference_of, share_threshold
from gateway.core.routing import Route, Target
from gateway.core.tuning import Calibrated, quality_threshold
from gateway.tuning.drift import Expected, feature_shares, look
from gateway.tuning.state import Basis, Drift, Promise, State, Yardstick, wanted

FIRST = 200
"""Scores before which a share is not fitted."""
REFERENCE_AT = 1000
"""Scores of the gateway's own that its reference is made of for good."""
_STEPS = (FIRST, 500, REFERENCE_AT)
_EVERY = 100
_WINDOW = 1000
_TOLD = 0.01


def scores_to_next(seen: int) -> int:
    """Return after how many more scores a fit is due, `seen` having been seen at the last."""
    return next((step - seen for step in _STEPS if seen < step), _EVERY)


def is_young(route: Route, state: State | None) -> bool:
    """Will the next few hundred scores still change what a route's requests are held against?
    `state` is what was fitted for it last."""
    follows = route.reference == "own" or (route.target is not None and route.target.share)
    return bool(follows) and (state is None or state.seen < REFERENCE_AT)


def window_of(route: Route) -> int:
    """Return over how many scores a route's traffic is looked at."""
    return route.target.window if route.target else _WINDOW


def scores_wanted(route: Route) -> int:
    """Return how many scores a fit reads."""
    return max(window_of(route), REFERENCE_AT)


def value_of(score: float, reference: Sequence[float] | None) -> float:
    """Return the difficulty that a score comes to; without a reference it is one itself."""
    return min(max(score, 0.0), 1.0) if reference is None else rank(score, reference)


def digest(labelled: Sequence[Labelled]) -> int:
    """Tell whether labels have changed: 0 for none, the same number in every process."""
    told = ((each.number, sorted(each.good.items())) for each in labelled)
    return zlib.crc32(repr(list(told)).encode()) if labelled else 0


def labels_missing(target: Target) -> int:
    """Return how many labels a target of quality needs at the least, none being there."""
    if target.quality is None:
        return 0
    return quality_threshold([], [], [], target.quality, target.confidence).missing


def fit(
    route: Route,
    yard: Yardstick,
    recent: Sequence[Scored],
    labelled: Sequence[Labelled],
    last: State | None,
    now: float,
) -> State:
    """Return the state that follows `last`, which is of the same scorer (perhaps of another
    target: its reference stays then).

    `recent` holds the newest `scores_wanted`, oldest first; `labelled` is read for a target of
    quality only; `now` is a UNIX time in seconds.
    """
    target, policy = wanted(route)
    through = max((row.number for row in recent), default=0)
    through = max(through, last.through if last else 0)
    reference, features = _reference(route, yard, recent, last)
    frame = State(
        target,
        policy,
        "config",
        reference=reference,
        features=features,
        seen=_seen(recent, last),
        through=through,
        told=last.told if last else None,
    )
    kept = last if last is not None and last.is_for(route) else None
    moved = kept is None or kept.reference != reference
    if kept is not None and not moved and (kept.thresholds or route.target is None):
        # Not from `through` on: until they adopt a state, processes route by the one before.
        frame = replace(frame, settled=kept.settled or through)
    window = recent[-window_of(route) :]
    drift = look(_expected(route, yard, frame), window, last.drift if last else Drift(), through)
    frame = replace(frame, drift=drift)
    if route.target is None:
        return frame
    if route.target.quality is None:
        return _for_share(route.target, yard, frame, window)
    return _for_quality(route, yard, frame, _Labels(labelled, kept, now))


def _seen(recent: Sequence[Scored], last: State | None) -> int:
    if last is None:
        return len(recent)
    return last.seen + sum(row.number > last.through for row in recent)


def _reference(
    route: Route, yard: Yardstick, recent: Sequence[Scored], last: State | None
) -> tuple[tuple[float, ...] | None, tuple[tuple[float, ...], ...]]:
    """Keep the gateway's own reference once it is made of REFERENCE_AT scores; until then make one
    at each fit: a few hundred scores of this traffic tell more than any number of another's."""
    if route.reference != "own":
        return None, ()
    if last is not None and last.reference is not None and last.seen >= REFERENCE_AT:
        return last.reference, last.features
    if len(recent) < FIRST:
        return None, ()
    rows = recent[-REFERENCE_AT:]
    # To the last digit: a tie is one, or half of its requests would change sides.
    points = reference_of(row.score for row in rows)
    return points, feature_shares(list(yard.watched), rows)


def _expected(route: Route, yard: Yardstick, state: State) -> Expected:
    own = state.reference is not None
    features: Mapping[str, tuple[float, ...]] = yard.watched
    if own:
        features = dict(zip(yard.watched, state.features, strict=False))
    reference = state.reference if own else yard.reference
    return Expected(
        reference=reference,
        features=features,
        binding=own or route.reference == "artefact",
        share=share_expected(route, ranked=reference is not None),
        unlike=yard.unlike_share,
        settled=state.settled,
    )


def share_expected(route: Route, *, ranked: bool) -> float | None:
    """Return the share of traffic that should start over the first tier, None where nothing says:
    for a target of quality, and for a number where scores are not `ranked`."""
    if route.target is not None:
        return route.target.share
    return 1.0 - route.thresholds[0] if ranked and route.thresholds else None


# ------------------------------------------------------------------ targets


def _for_share(target: Target, yard: Yardstick, state: State, window: Sequence[Scored]) -> State:
    if len(window) < FIRST or target.share is None:
        return replace(state, basis="start")
    reference = state.reference or yard.reference
    values = [value_of(row.score, reference) for row in window]
    return _with(state, "share", share_threshold(values, target.share))


@dataclass(frozen=True, slots=True)
class _Labels:
    """Labelled requests, the state before (None: it was for something else), and the time."""

    all: Sequence[Labelled]
    last: State | None
    now: float


def _for_quality(route: Route, yard: Yardstick, state: State, labels: _Labels) -> State:
    """Calibrate on labels. Those from before an alarm say nothing of the traffic after it: they
    may still set the threshold, but the promise stays void until newer ones are enough, or the
    alarm ends."""
    names = route.tiers[0].name, route.tiers[-1].name
    fresh = [each for each in labels.all if not each.met]
    both = [each for each in fresh if all(name in each.good for name in names)]
    since = max(state.drift.alarms.values(), default=0)
    newer = [each for each in both if each.number > since]
    reference = state.reference or yard.reference
    now = _calibrated(route, reference, newer)
    state = replace(state, labels=len(newer), labels_digest=digest(labels.all), missing=now.missing)
    if now.threshold is not None:
        promise = _promise(route, now, labels, void=False)
        return _with(replace(state, promise=promise), "quality", now.threshold)
    before = _calibrated(route, reference, both) if since else now
    if before.threshold is not None:
        promise = _promise(route, before, labels, void=True)
        return _with(replace(state, promise=promise), "quality", before.threshold)
    return _with(state, "conservative", route.thresholds[0])


def _calibrated(
    route: Route, reference: Sequence[float] | None, labelled: Sequence[Labelled]
) -> Calibrated:
    target = route.target
    if target is None or target.quality is None:
        raise ValueError("only a target of quality is calibrated")
    weak, strong = route.tiers[0].name, route.tiers[-1].name
    return quality_threshold(
        [value_of(each.score, reference) for each in labelled],
        [each.good[weak] for each in labelled],
        [each.good[strong] for each in labelled],
        target.quality,
        target.confidence,
    )


def _promise(route: Route, chosen: Calibrated, labels: _Labels, *, void: bool) -> Promise:
    quality = route.target.quality if route.target else None
    made = Promise(quality or 0.0, chosen.alpha, chosen.delta, chosen.n, labels.now, void)
    last = labels.last.promise if labels.last else None
    if last is not None and replace(made, made_at=last.made_at, void=last.void) == last:
        return replace(made, made_at=last.made_at)
    return made


def _with(state: State, basis: Basis, threshold: float) -> State:
    """Set the threshold; the log is told of a move of a hundredth, however slow."""
    far = state.told is None or abs(threshold - state.told) >= _TOLD
    told = threshold if far else state.told
    return replace(state, basis=basis, thresholds=(threshold,), told=told)
