"""Policies on recorded outcomes, many rows at once: what is served, what it costs, what is bought.

This is `gateway.core.cascade.next_step` for two tiers, vectorised for fitting; a test holds the two
equal, and `waterfall replay` runs the real one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.core.combine import Combiner
from router_models.cascade.fit import Priors, chances_of, fit_combiner, with_family
from router_models.cascade.pairs import Pairs
from router_models.difficulty.metrics import Array

Flags = NDArray[np.bool_]
NEVER: Final = 1.0
"""A threshold that sends nothing up."""
_GRID: Final = 60
_ROUNDS: Final = 2
_MOST_SUBSETS: Final = 4
"""Paid checks of which every subset is tried; of more, only the cheapest so many."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`threshold` is the difficulty from which a request starts at the strong tier, NEVER where
    none does. Without a combiner a weak reply is always accepted."""

    threshold: float = NEVER
    accept: float = 0.0
    min_gain: float = 0.0
    combiner: Combiner | None = None

    @property
    def kind(self) -> str:
        """What shape it has."""
        judged = self.combiner is not None and self.accept > 0
        if self.threshold >= NEVER:
            return "cascade" if judged else "weak"
        if self.threshold <= 0:
            return "strong"
        return "joint" if judged else "route"


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What a policy did, (N,) each: `up` started at the strong tier, `deferred` a weak reply that
    was replaced, `quality` 0..1 and `cost` USD of what was served, its discarded draft and checks
    included; `confidence` of the weak reply, nan without one; `value` ranks what should go up."""

    up: Flags
    deferred: Flags
    quality: Array
    cost: Array
    confidence: Array
    value: Array
    checks: Array


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """P(good) of both tiers at each stage of a combiner: (stages, N) each."""

    own: Array
    next: Array


def weigh(combiner: Combiner, pairs: Pairs, priors: Priors) -> Weighed:
    """Let a combiner speak at all of its stages."""
    return Weighed(
        np.array([chances_of(each.own, priors.own, pairs.said) for each in combiner.stages]),
        np.array([chances_of(each.next, priors.next, pairs.said) for each in combiner.stages]),
    )


def play(policy: Policy, pairs: Pairs, priors: Priors) -> Played:
    """Play a policy over recorded outcomes."""
    size = len(pairs)
    up: Flags = (priors.difficulty >= policy.threshold) & (policy.threshold < NEVER)
    bought = np.zeros(size)
    own, next_ = np.full(size, np.nan), np.full(size, np.nan)
    if policy.combiner is not None:
        weighed = weigh(policy.combiner, pairs, priors)
        stage, bought = _buy(policy.combiner, weighed, pairs)
        own, next_ = weighed.own[stage, np.arange(size)], weighed.next[stage, np.arange(size)]
    deferred = _defers(policy, own, next_) & ~up
    checks = np.where(up, 0.0, bought)
    cost = np.where(up, 0.0, pairs.weak_cost) + checks
    strong = up | deferred
    return Played(
        up,
        deferred,
        np.where(strong, pairs.strong, pairs.weak),
        cost + np.where(strong, pairs.strong_cost, 0.0),
        own,
        next_ - own,
        checks,
    )


def _defers(policy: Policy, own: Array, next_: Array) -> Flags:
    """Is a reply of this confidence not good enough? As `gateway.core.verdict.judge`."""
    with np.errstate(invalid="ignore"):
        return np.asarray((own < policy.accept) & (next_ - own >= policy.min_gain))


def _buy(combiner: Combiner, weighed: Weighed, pairs: Pairs) -> tuple[NDArray[np.intp], Array]:
    """Buy each paid check in turn while its band holds: the stage reached, and what it cost."""
    size = len(pairs)
    stage, cost = np.zeros(size, np.intp), np.zeros(size)
    going = np.ones(size, bool)
    for place, check in enumerate(combiner.paid):
        low, high = combiner.bands.get(check, (0.0, 1.0))
        going &= (weighed.own[place] >= low) & (weighed.own[place] <= high)
        stage[going] = place + 1
        cost += np.where(going, pairs.prices[check], 0.0)
    return stage, cost


# --------------------------------------------------------------------------- fitting


@dataclass(frozen=True, slots=True)
class Trade:
    """What is optimised: quality less `price` times cost, `price` being quality a USD. A check, or
    a judgement at all, must be better than none by `margin` standard errors of the difference."""

    price: float
    min_gain: float = 0.0
    margin: float = 1.0

    def worth(self, quality: Array, cost: Array) -> Array:
        """Return (N,) utilities."""
        return quality - self.price * cost


Known = dict[tuple[str, ...], Combiner]
"""Combiners that were fitted to the same rows before, by their paid checks: they are the same at
every price."""


def fit_route(
    pairs: Pairs, priors: Priors, trade: Trade, label: str = "", known: Known | None = None
) -> Policy:
    """Fit the threshold of routing alone; it has no combiner to be labelled."""
    del label, known
    stays = trade.worth(pairs.weak, pairs.weak_cost)
    return Policy(_threshold(priors.difficulty, _up(pairs, trade) - stays))


def fit_cascade(
    pairs: Pairs,
    priors: Priors,
    trade: Trade,
    label: str,
    known: Known | None = None,
    *,
    paying: bool = True,
) -> Policy:
    """Fit a combiner to these checks, the bands in which each is bought and the confidence from
    which a reply is accepted. Not `paying`: every check is always bought."""
    known = {} if known is None else known
    if pairs.paid not in known:
        known[pairs.paid] = fit_combiner(pairs, priors, label)
    combiner = known[pairs.paid]
    weighed = weigh(combiner, pairs, priors)
    stage = np.full(len(pairs), len(combiner.paid), np.intp)
    policy = Policy(NEVER, 0.0, trade.min_gain, combiner)
    for _ in range(_ROUNDS):
        policy = replace(policy, accept=_accept(policy, weighed, stage, pairs, trade))
        if not paying:
            break
        bands = _bands(policy, weighed, pairs, trade)
        combiner = replace(combiner, bands=bands)
        policy = replace(policy, combiner=combiner)
        stage, _ = _buy(combiner, weighed, pairs)
    return replace(policy, accept=_accept(policy, weighed, stage, pairs, trade))


def fit_joint(
    pairs: Pairs, priors: Priors, trade: Trade, label: str, known: Known | None = None
) -> Policy:
    """Choose between routing alone and judging too, with any of the paid checks: the simpler one
    unless the other is better by the trade's margin."""
    best = fit_route(pairs, priors, trade)
    best_worth = _worth(best, pairs, priors, trade)
    for checks in subsets(pairs.paid):
        with_these = pairs.only(*checks)
        if not with_these.said and np.isnan(priors.own).all():
            continue  # nobody knows anything of a reply
        cascade = fit_cascade(with_these, priors, trade, label, known)
        if any(low > high for low, high in _bands_of(cascade)):
            continue
        for policy in (cascade, with_threshold(cascade, with_these, priors, trade)):
            worth = _worth(policy, with_these, priors, trade)
            if _is_better(worth - best_worth, trade.margin):
                best, best_worth = policy, worth
    return best


def subsets(checks: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return every choice of paid checks, the fewest first, in their order of price: each with
    those before it of its family, whose samples it counts and does not pay for."""
    tried = checks[:_MOST_SUBSETS]
    chosen = (each for size in range(len(tried) + 1) for each in combinations(tried, size))
    return [each for each in chosen if set(each) == set(with_family(each, tried))]


def with_threshold(policy: Policy, pairs: Pairs, priors: Priors, trade: Trade) -> Policy:
    """Send up at once what is better off so than with this policy."""
    stays = _worth(replace(policy, threshold=NEVER), pairs, priors, trade)
    return replace(policy, threshold=_threshold(priors.difficulty, _up(pairs, trade) - stays))


def _up(pairs: Pairs, trade: Trade) -> Array:
    return trade.worth(pairs.strong, pairs.strong_cost)


def _worth(policy: Policy, pairs: Pairs, priors: Priors, trade: Trade) -> Array:
    played = play(policy, pairs, priors)
    return trade.worth(played.quality, played.cost)


def _is_better(difference: Array, margin: float) -> bool:
    error = float(difference.std() / np.sqrt(len(difference)))
    return float(difference.mean()) > margin * error + 1e-12


def _bands_of(policy: Policy) -> list[tuple[float, float]]:
    return list(policy.combiner.bands.values()) if policy.combiner else []


def _threshold(difficulty: Array, gained: Array) -> float:
    """The difficulty from which going up gains most in all; NEVER where it gains nothing."""
    order = np.argsort(-difficulty, kind="stable")
    ranked = difficulty[order]
    ends = np.append(ranked[1:] != ranked[:-1], True)
    sums = np.where(ends, np.cumsum(gained[order]), -np.inf)
    best = int(sums.argmax())
    if sums[best] <= 0:
        return NEVER
    if best == len(order) - 1:
        return 0.0
    return float(min((ranked[best] + ranked[best + 1]) / 2, 1 - 1e-6))


def _accept(
    policy: Policy, weighed: Weighed, stage: NDArray[np.intp], pairs: Pairs, trade: Trade
) -> float:
    """The confidence from which accepting is worth most, at these stages."""
    rows = np.arange(len(pairs))
    own, next_ = weighed.own[stage, rows], weighed.next[stage, rows]
    gained = np.where(
        next_ - own >= policy.min_gain,
        trade.worth(pairs.strong - pairs.weak, pairs.strong_cost),
        0.0,
    )
    grid = np.unique(np.quantile(own, np.linspace(0, 1, _GRID)))
    grid = np.concatenate([[0.0], (grid[1:] + grid[:-1]) / 2, [1.0]])
    sums = [gained[own < each].sum() for each in grid]
    return float(grid[int(np.argmax(sums))])


def _bands(
    policy: Policy, weighed: Weighed, pairs: Pairs, trade: Trade
) -> dict[str, tuple[float, float]]:
    """Where each check pays, from the dearest back: what buying it and going on as well as may be
    brings, against deciding without it. A check that pays nowhere has an empty band (1, 0)."""
    bands: dict[str, tuple[float, float]] = {}
    paid = pairs.paid
    later = _decided(policy, weighed, len(paid), pairs, trade)
    for place in range(len(paid) - 1, -1, -1):
        now = _decided(policy, weighed, place, pairs, trade)
        gained = later - trade.price * pairs.prices[paid[place]] - now
        low, high = band(weighed.own[place], gained, trade.margin)
        bands[paid[place]] = (low, high)
        inside = (weighed.own[place] >= low) & (weighed.own[place] <= high)
        later = np.where(inside, now + gained, now)
    return bands


def _decided(policy: Policy, weighed: Weighed, stage: int, pairs: Pairs, trade: Trade) -> Array:
    """What deciding at a stage is worth, beyond the weak call."""
    up = _defers(policy, weighed.own[stage], weighed.next[stage])
    return np.where(up, trade.worth(pairs.strong, pairs.strong_cost), pairs.weak)


def band(confidence: Array, gained: Array, margin: float) -> tuple[float, float]:
    """The interval of confidence over which the most is gained in all, (1, 0) where that is less
    than `margin` standard errors of its sum."""
    order = np.argsort(confidence, kind="stable")
    ranked = confidence[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    groups = np.add.reduceat(gained[order], starts)
    sums = np.concatenate([[0.0], np.cumsum(groups)])
    lowest = np.minimum.accumulate(sums)
    end = int(np.argmax(sums - lowest))
    start = int(np.argmin(sums[: end + 1]))
    values = ranked[starts]
    inside = (confidence >= values[min(start, len(values) - 1)]) & (confidence <= values[end - 1])
    spread = float(np.sqrt((gained[inside] ** 2).sum())) if end > start else 0.0
    if end <= start or sums[end] - sums[start] <= margin * spread:
        return 1.0, 0.0
    low = 0.0 if start == 0 else float((values[start - 1] + values[start]) / 2)
    high = 1.0 if end == len(values) else float((values[end - 1] + values[end]) / 2)
    return low, high
