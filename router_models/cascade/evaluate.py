"""Judge policies on a pair file, each row by what was fitted to other questions.

    python -m router_models.cascade.evaluate --data PAIRS --samples LONG --sample-models A,B

Routing alone, cascading alone and both together are fitted for a range of prices of quality, on all
folds but one, and played over that one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.core.ranks import rank
from router_models.cascade.curves import Front, error_by_chance, priced_apgr
from router_models.cascade.fit import Priors
from router_models.cascade.ground import FOLDS, Ground, prepare
from router_models.cascade.options import add_evidence, read_evidence
from router_models.cascade.pairs import Pairs
from router_models.cascade.plots import draw
from router_models.cascade.policy import (
    Known,
    Policy,
    Trade,
    fit_cascade,
    fit_joint,
    fit_route,
    play,
)
from router_models.difficulty.formats import DataError
from router_models.difficulty.metrics import (
    Array,
    Recorded,
    apgr,
    calibration_error,
    resampled,
    summary,
)

PRICES: Final = (0.0, *np.geomspace(0.005, 5.0, 24).tolist())
"""What a quality of 1 is taken to be worth, over: in strong calls, 1 / price."""
TARGETS: Final = (0.95, 0.98)
RESAMPLES: Final = 500
HARDLY: Final = 0.1
"""A waterfall that saves less than that beyond what a blind mix of the tiers saves, at 95 % of the
strong tier's quality, hardly helps: by the near end of the interval."""
PAYS: Final = 0.01
"""What judging must save beyond routing alone, of the strong tier's cost."""
AXES: Final = ("share", "priced", "with_drafts")
"""What APGR is over: the share sent up, that and the checks' price, and the weak drafts too."""
Advance = Callable[[], object]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What policies fitted to other questions did, (N,) each; `kinds` are the folds' shapes."""

    quality: Array
    cost: Array
    large: Array
    kinds: tuple[str, ...]


def fitted(ground: Ground, family: str, price: float, min_gain: float = 0.0) -> list[Policy]:
    """Fit a family of policies, at a price, to each fold's other questions."""
    trade = Trade(price / float(ground.pairs.strong_cost.mean()), min_gain)
    found = []
    for fold, split in enumerate(ground.splits):
        learnt = ground.pairs.take(split.train), ground.priors.take(split.train)
        known = ground.known.setdefault(fold, {})
        found.append(FAMILIES[family](*learnt, trade, f"{family}@1", known))
    return found


def shown(ground: Ground, policies: Sequence[Policy], cap: float = 1.0) -> Shown:
    """Play each fold's policy over it; `cap` is the most that a reply must reach."""
    pairs = ground.pairs
    quality, cost, large = (np.zeros(len(pairs)) for _ in range(3))
    for split, policy in zip(ground.splits, policies, strict=True):
        capped = replace(policy, accept=min(policy.accept, cap))
        played = played_by(capped, pairs.take(split.test), ground.priors.take(split.test))
        quality[split.test], cost[split.test] = played.quality, played.cost
        large[split.test] = played.up | played.deferred
    return Shown(quality, cost, large, tuple(each.kind for each in policies))


def sweep(ground: Ground, advance: Advance = lambda: None) -> dict[str, list[Shown]]:
    """Show each family at each price."""
    found: dict[str, list[Shown]] = {name: [] for name in FAMILIES}
    for price in PRICES:
        for name, points in found.items():
            points.append(shown(ground, fitted(ground, name, price)))
        advance()
    return found


def front(points: Sequence[Shown], pairs: Pairs) -> Front:
    """Make a front of what was shown."""
    return Front([each.quality for each in points], [each.cost for each in points], pairs)


def played_by(policy: Policy, pairs: Pairs, priors: Priors) -> Any:
    """Play a policy over rows that have more paid checks than it buys."""
    bought = policy.combiner.paid if policy.combiner else ()
    return play(policy, pairs.only(*bought), priors)


FAMILIES: Final[dict[str, Callable[[Pairs, Priors, Trade, str, Known], Policy]]] = {
    "route": fit_route,
    "cascade": fit_cascade,
    "joint": fit_joint,
}
"""How each family of policies is fitted."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """What a combiner says of replies to questions that it was not fitted to, (N,) each: P(good) of
    both tiers, the rank 0..1 of the gain among its training's, and USD spent on checks."""

    own: Array
    next: Array
    value: Array
    checks: Array


def ranked(ground: Ground, *, paying: bool, price: float = 0.1) -> Ranked:
    """Rank every reply by what going up is expected to gain. `paying`: a check is bought where it
    pays at this `price` only; else every one is."""
    pairs = ground.pairs
    own, next_, value, checks = (np.zeros(len(pairs)) for _ in range(4))
    trade = Trade(price / float(pairs.strong_cost.mean()))
    for split in ground.splits:
        learnt = pairs.take(split.train), ground.priors.take(split.train)
        policy = fit_cascade(*learnt, trade, "ranked@1", paying=paying)
        of_old = play(policy, *learnt)
        of_new = play(policy, pairs.take(split.test), ground.priors.take(split.test))
        # As it is served: several fits' gains say little beside each other, their ranks do.
        reference = np.sort(of_old.value).tolist()
        value[split.test] = [rank(each, reference) for each in of_new.value.tolist()]
        own[split.test] = of_new.confidence
        next_[split.test] = of_new.value + of_new.confidence
        checks[split.test] = of_new.checks
    return Ranked(own, next_, value, checks)


def judge(ground: Ground, resamples: int = RESAMPLES, advance: Advance = lambda: None) -> Any:
    """Say all that is to be said: JSON."""
    pairs = ground.pairs
    weights = resampled(ground.questions, resamples, 0)
    fronts = {name: front(points, pairs) for name, points in sweep(ground, advance).items()}
    told: dict[str, Any] = {
        "rows": len(pairs),
        "ratio": pairs.ratio,
        "tiers": [float(pairs.weak.mean()), float(pairs.strong.mean())],
        "checks": {"free": list(pairs.free), "paid": list(pairs.paid)},
        "targets": {},
    }
    blind = Front([], [], pairs)
    for target in TARGETS:
        costs = {name: front.cost_at(target, weights) for name, front in fronts.items()}
        mixed = blind.cost_at(target, weights)
        alone = np.minimum(costs["route"], costs["cascade"])
        told["targets"][str(target)] = {
            **{name: summary(1 - cost) for name, cost in costs.items()},
            "blind": summary(1 - mixed),
            "joint_less_the_better": summary(costs["joint"] - alone),
            "joint_less_route": summary(costs["joint"] - costs["route"]),
            "beyond_blind": summary(mixed - costs["joint"]),
        }
    told["apgr"] = _areas(ground, weights)
    told["verdict"] = verdict(told)
    return told


def _areas(ground: Ground, weights: Array) -> dict[str, Any]:
    """APGR by the share sent up, and with the money on the axis."""
    pairs = ground.pairs
    recorded = Recorded(pairs.weak, pairs.strong, pairs.weak_cost, pairs.strong_cost)
    free = np.zeros(len(pairs))
    told: dict[str, Any] = {
        "route": {"share": summary(apgr(ground.priors.difficulty, recorded, weights))}
    }
    if not pairs.said:
        return told
    for name, paying in (("judged", False), ("judged_where_it_pays", True)):
        found = ranked(ground, paying=paying)
        told[name] = {
            "share": summary(apgr(found.value, recorded, weights)),
            **_priced(found.value, found.checks, pairs, weights),
            "calibration_error": {
                "own": calibration_error(found.own, pairs.weak),
                "next": calibration_error(found.next, pairs.strong),
                "by_chance": [error_by_chance(each) for each in (found.own, found.next)],
            },
            "checks_cost": float(found.checks.mean() / pairs.strong_cost.mean()),
        }
    last = pairs.paid[-1] if pairs.paid else None
    if last:
        raw = 1 - np.nan_to_num(pairs.said[last], nan=0.5)
        spent = sum((pairs.prices[check] for check in pairs.paid), free)
        told["disagreement"] = {
            "share": summary(apgr(raw, recorded, weights)),
            **_priced(raw, spent, pairs, weights),
        }
    return told


def _priced(value: Array, checks: Array, pairs: Pairs, weights: Array) -> dict[str, Any]:
    """Charge the checks; and, strictest, the weak drafts that are thrown away too."""
    return {
        "priced": summary(priced_apgr(value, checks, pairs, weights)),
        "with_drafts": summary(priced_apgr(value, checks, pairs, weights, drafts=True)),
    }


def verdict(told: dict[str, Any]) -> str:
    """Does judging pay, and does any of it help beyond what the noise may be?"""
    at = told["targets"][str(TARGETS[0])]
    judged = at["joint"]["value"] - at["route"]["value"]
    shape = "judging the answer pays" if judged > PAYS else "judging the answer does not pay"
    saves = (
        f"at {TARGETS[0]:.0%} of the strong tier's quality {at['joint']['value']:.0%} of its cost "
        f"is saved, by a blind mix of the tiers {at['blind']['value']:.0%}"
    )
    hardly = "; a waterfall hardly helps here" if at["beyond_blind"]["low"] < HARDLY else ""
    return f"{shape}{hardly}: {saves}"


# --------------------------------------------------------------------------- as a program


def parser() -> argparse.ArgumentParser:
    """Return the program's options."""
    found = argparse.ArgumentParser(prog="python -m router_models.cascade.evaluate")
    found.add_argument("--data", type=Path, required=True, metavar="FILE", help="a pair file")
    add_evidence(found)
    found.add_argument("--folds", type=int, default=FOLDS)
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--resamples", type=int, default=RESAMPLES)
    found.add_argument("--json", action="store_true", help="print JSON")
    found.add_argument("--plot", type=Path, metavar="PNG", help="draw the calibration into a file")
    return found


def main(argv: list[str] | None = None) -> int:
    """Judge a file. Exit code 2 for data that cannot be used."""
    args = parser().parse_args(argv)
    try:
        ground = prepare(read_evidence(args, args.data), args.folds, args.seed)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    told = judge(ground, args.resamples)
    if args.plot:
        draw(args.plot, ground.pairs, ranked(ground, paying=False), args.data.name)
    print(json.dumps(told, indent=1) if args.json else text(told))
    return 0


def text(told: dict[str, Any]) -> str:
    """Write what was found for a person."""
    weak, strong = told["tiers"]
    first = (
        f"{told['rows']:,} questions, weak {weak:.3f}, strong {strong:.3f}, price ratio "
        f"{told['ratio']:.3f}; free {', '.join(told['checks']['free']) or 'none'}, paid "
        f"{', '.join(told['checks']['paid']) or 'none'}"
    )
    lines = [first]
    for name, areas in told["apgr"].items():
        parts = [f"{axis} {_value(areas[axis])}" for axis in AXES if axis in areas]
        if "calibration_error" in areas:
            errors = areas["calibration_error"]
            chance = " and ".join(f"{each:.3f}" for each in errors["by_chance"])
            found = f"{errors['own']:.3f} and {errors['next']:.3f}"
            parts.append(f"calibration error {found} (by chance {chance})")
            parts.append(f"checks cost {areas['checks_cost']:.1%} of a strong call")
        lines.append(f"APGR {name}: {', '.join(parts)}")
    for target, found in told["targets"].items():
        parts = [f"{name} {_value(found[name])}" for name in found]
        lines.append(f"saved at {float(target):.0%} of the strong quality: {'; '.join(parts)}")
    return "\n".join([*lines, told["verdict"]])


def _value(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return "unknown"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


if __name__ == "__main__":
    sys.exit(main())
