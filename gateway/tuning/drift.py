"""How today's traffic differs from what thresholds and promises were made on, and when it matters.

Alarms need at least 300 requests of the last window. `score` and `feature`: a population stability
index over .2, until it is under .1 again. `unlike`: more than a tenth of the prompts, and more
than five times what is expected, beyond chance. `share`: the share started over the first tier is
off its target by more than 3 points, beyond chance. Beyond chance is by Wilson's interval of 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.core.ports import Scored
from gateway.core.ranks import TENTHS, psi, rank, tenths, wilson
from gateway.tuning.state import Drift

LEAST = 300
ON, OFF = 0.2, 0.1
UNLIKE_LEAST, UNLIKE_TIMES = 0.1, 5
OFF_TARGET = 0.03

Shares = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """What traffic is held against. `reference` ranks scores and `features` maps names to shares
    of ten buckets; `binding` says whether they are what the route is to be held to, or only a
    first guess, which raises no alarm. `share` is what should start over the first tier (None:
    nothing is expected), `unlike` the share of unlike prompts. `settled` as in State."""

    reference: Sequence[float] | None
    features: Mapping[str, Shares]
    binding: bool
    share: float | None
    unlike: float
    settled: int | None


def look(expected: Expected, window: Sequence[Scored], last: Drift, through: int) -> Drift:
    """Compare the last window with what is expected; an alarm that was on keeps its number."""
    scores = _score_psi(expected.reference, window)
    features = feature_psi(expected.features, window)
    unlike = [row.unlike for row in window if row.unlike is not None]
    settled = expected.settled
    routed = [row.above for row in window if settled is not None and row.number > settled]
    on = {
        "score": expected.binding and len(window) >= LEAST and _is_shifted("score", scores, last),
        "feature": expected.binding
        and len(window) >= LEAST
        and _is_shifted("feature", max(features.values(), default=None), last),
        "unlike": _is_strange(unlike, expected.unlike),
        "share": expected.binding and _is_off(routed, expected.share),
    }
    return Drift(
        score_psi=scores,
        feature_psi=features,
        unlike=_share(unlike),
        routed=_share(routed or [row.above for row in window]),
        alarms={kind: last.alarms.get(kind, through) for kind, rings in on.items() if rings},
    )


def feature_shares(names: Sequence[str], window: Sequence[Scored]) -> tuple[Shares, ...]:
    """Return each watched feature's shares of its ten buckets; nothing when no row has them."""
    profiles = _profiles(names, window)
    if not profiles:
        return ()
    counts = [_counts(place, profiles) for place in range(len(names))]
    return tuple(tuple(count / len(profiles) for count in each) for each in counts)


def feature_psi(expected: Mapping[str, Shares], window: Sequence[Scored]) -> dict[str, float]:
    """Return each watched feature's stability index."""
    profiles = _profiles(list(expected), window)
    if not profiles:
        return {}
    return {
        name: psi(shares, _counts(place, profiles))
        for place, (name, shares) in enumerate(expected.items())
    }


def _profiles(names: Sequence[str], window: Sequence[Scored]) -> list[str]:
    size = len(names)
    texts = (row.profile for row in window)
    return [each for each in texts if size and len(each) == size and each.isdecimal()]


def _counts(place: int, profiles: Sequence[str]) -> list[int]:
    counts = [0] * TENTHS
    for profile in profiles:
        counts[int(profile[place])] += 1
    return counts


def _score_psi(reference: Sequence[float] | None, window: Sequence[Scored]) -> float | None:
    """Compare by tenths of the reference; scores that tie leave some of them empty there too."""
    if reference is None or not window:
        return None
    shares = tenths(rank(score, reference) for score in reference)
    return psi(shares, tenths(rank(row.score, reference) for row in window))


def _is_shifted(kind: str, index: float | None, last: Drift) -> bool:
    return index is not None and index > (OFF if kind in last.alarms else ON)


def _is_strange(unlike: Sequence[bool], expected: float) -> bool:
    if len(unlike) < LEAST:
        return False
    low, _ = wilson(sum(unlike), len(unlike))
    return low > UNLIKE_TIMES * expected and sum(unlike) > UNLIKE_LEAST * len(unlike)


def _is_off(routed: Sequence[bool], target: float | None) -> bool:
    if target is None or len(routed) < LEAST:
        return False
    low, high = wilson(sum(routed), len(routed))
    return not low - OFF_TARGET <= target <= high + OFF_TARGET


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None
