"""`waterfall tune` where there is evidence on answers: both thresholds, and the checks that pay."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router_models.commands import common

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.core.combine import Combiner
    from router_models.cascade.choose import Chosen, Point
    from router_models.cascade.ground import Ground
    from router_models.cascade.pairs import Pairs

AGREEMENT: Final = "agreement"
LABEL: Final = "combined@1"
MIN_GAIN: Final = 0.05
_ALONE: Final = (
    *("samples", "sample_models", "sample_prompts", "sample_price", "check_price", "free"),
    *("price_ratio", "out", "label", "min_gain", "target_cost"),
)
"""Options that only this makes use of, None where nobody gave them."""
_RECORDED: Final = "weak_check."


def is_asked(args: argparse.Namespace) -> bool:
    """Is there evidence on answers to tune with, or something asked that only this can do?"""
    asked = (getattr(args, name) for name in _ALONE)
    return args.judge or any(each is not None for each in asked) or _has_recorded_checks(args)


def _has_recorded_checks(args: argparse.Namespace) -> bool:
    from router_models.difficulty.formats import is_ledger, records

    if not args.data or len(args.data) > 1 or is_ledger(args.data[0]):
        return False
    first: Any = next(iter(records(args.data[0])), {})
    return any(name and name.startswith(_RECORDED) for name in first)


def run(args: argparse.Namespace) -> int:
    """Tune. Exit code 1 when nothing pays (nothing is written then), 2 for a wrong use."""
    from router_models.cascade.choose import Target, choose
    from router_models.cascade.evaluate import PRICES
    from router_models.cascade.options import read_evidence

    _check(args)
    settings = _settings(args)
    pairs = read_evidence(args, args.data[0])
    if args.write and settings is not None:
        _require_checks(args, settings, pairs)
    ground = _ground(args, pairs)
    target = Target(args.target_quality, args.target_share, args.target_cost)
    with common.progress("fitting", len(PRICES)) as advance:
        min_gain = MIN_GAIN if args.min_gain is None else args.min_gain
        chosen = choose(ground, target, args.label or LABEL, min_gain, advance)
    told = _told(args, ground, chosen)
    if args.out and chosen.pays and chosen.policy.combiner is not None:
        told["combiner"] = str(_keep(args, ground, chosen, chosen.policy.combiner))
    refused = None
    if args.write and chosen.pays:
        try:
            told["written"] = _write(args, chosen)
        except common.UseError as error:
            refused = error  # what was found is told all the same
    common.show(json.dumps(told, indent=1) if args.json else _text(told, chosen))
    if refused is not None:
        raise refused
    return 0 if chosen.pays else 1


def _check(args: argparse.Namespace) -> None:
    """Refuse options that would change nothing. Raises UseError."""
    if not args.data or len(args.data) > 1:
        raise common.UseError("both thresholds are tuned on one pair file: --data FILE.")
    if args.confidence is not None or args.plug_in:
        raise common.UseError(
            "--confidence and --plug-in are of a threshold alone; what is fitted together is "
            "judged by folds, and is no promise."
        )
    if args.write and not args.out:
        raise common.UseError("--write names the combiner in the configuration: give --out DIR.")
    if args.label is not None and not args.out:
        raise common.UseError("--label names the combiner that is kept: give --out DIR.")
    if args.tiers or args.last is not None:
        raise common.UseError(
            "--tiers and --last are of a threshold alone; both thresholds are tuned on a file of "
            "weak and strong."
        )


def _settings(args: argparse.Namespace) -> Settings | None:
    """Read the configuration, where there is one: a wrong name is told before anything is fitted.
    Raises ConfigError or UseError."""
    from gateway.app import read_settings

    path = args.config or common.CONFIG
    if args.config is None and not path.exists() and not args.write:
        if args.route is not None:
            raise common.UseError("--route is a configuration's: give --config FILE.")
        return None
    settings = read_settings(path, os.environ)
    if args.route is not None and args.route not in settings.routes:
        known = ", ".join(settings.routes)
        raise common.UseError(f"no route {args.route!r}; there is: {known}")
    return settings


def _require_checks(args: argparse.Namespace, settings: Settings, pairs: Pairs) -> None:
    """Refuse evidence of a check that the configuration could not put. Raises UseError."""
    from gateway.config.bar import CHECKS

    known = {*CHECKS, *settings.checks}
    missing = [check for check in (*pairs.free, *pairs.paid) if check not in known]
    if not missing:
        return
    check = missing[0]
    _, _, samples = check.partition(f"{AGREEMENT}_")
    how = f"checks: {{{check}: {{kind: agreement, samples: {samples or 1}}}}}"
    told = f"write, for instance, {how}" if check == AGREEMENT or samples else "put it there"
    raise common.UseError(
        f"{args.config or common.CONFIG} defines no check {check!r} under `checks`, and what is "
        f"fitted may come to need it: {told}, or tune without --write."
    )


def _ground(args: argparse.Namespace, pairs: Pairs) -> Ground:
    """The configuration's scorer says how difficult the rows are that it was not trained on;
    without a configuration one is trained on the other folds of the data itself."""
    import numpy as np

    from gateway.scorers.features import question_hash
    from router_models.cascade.ground import by_scorer, folds_of, prepare
    from router_models.commands.ground import open_ground
    from router_models.difficulty.evaluate import seen_by

    if not pairs.prompted:
        common.tell("no prompts: nothing says how difficult a request is, all start small")
        return prepare(pairs)
    if args.config is None and not common.CONFIG.exists():
        common.tell("no configuration: difficulty is by a scorer trained on the other folds")
        return prepare(pairs)
    opened = open_ground(args)
    known = seen_by(opened.scorer)
    fresh = [n for n, each in enumerate(pairs.signals) if question_hash(each.text) not in known]
    if met := len(pairs) - len(fresh):
        common.tell(f"{met:,} rows left out: the scorer was trained on their questions")
    if len(fresh) < 2:
        raise common.UseError(
            "the scorer was trained on all of these questions: tune on others, or without a "
            "configuration."
        )
    pairs = pairs.take(fresh)
    priors = by_scorer(opened.scorer, pairs)
    if opened.own:
        ranks = [opened.rank(opened.scorer.score(each).ranked) for each in pairs.signals]
        priors = replace(priors, difficulty=np.array(ranks))
    return folds_of(pairs, priors)


def _told(args: argparse.Namespace, ground: Ground, chosen: Chosen) -> dict[str, Any]:
    from router_models.cascade.choose import in_use

    policy, combiner = chosen.policy, chosen.policy.combiner
    bought = in_use(policy, ground.pairs, ground.priors)
    return {
        "rows": len(ground.pairs),
        "ratio": ground.pairs.ratio,
        "target": {
            "quality": args.target_quality,
            "share": args.target_share,
            "cost": args.target_cost,
        },
        "verdict": chosen.verdict,
        "pays": chosen.pays,
        "kind": policy.kind,
        "threshold": policy.threshold,
        "accept": policy.accept if combiner else None,
        "min_gain": policy.min_gain if combiner else None,
        "checks": {
            "free": list(combiner.free) if combiner else [],
            "paid": {
                check: {"band": combiner.bands[check], "bought": bought[check]}
                for check in (combiner.paid if combiner else ())
                if combiner is not None
            },
            "not_worth_it": [
                check for check in ground.pairs.paid if not combiner or check not in combiner.paid
            ],
        },
        "at": asdict(chosen.at) if chosen.at else None,
        **chosen.told,
        "frontier": [asdict(each) for each in chosen.points],
        "route_only": [asdict(each) for each in chosen.route],
        "promise": False,
    }


def _keep(args: argparse.Namespace, ground: Ground, chosen: Chosen, combiner: Combiner) -> Path:
    from gateway.config.combiner_file import write_combiner

    figures = {name: chosen.told[name]["value"] for name in ("quality", "saved", "beyond_blind")}
    provenance = {
        "data": args.data[0].name,
        "samples": {"file": args.samples.name, "models": list(args.sample_models)}
        if args.samples
        else None,
        "n": len(ground.pairs),
        "price_ratio": ground.pairs.ratio,
        "date": datetime.now(tz=UTC).date().isoformat(),
        "metrics": figures | {"calibration_error": chosen.told["calibration_error"]},
    }
    return write_combiner(args.out, combiner, provenance)


def _write(args: argparse.Namespace, chosen: Chosen) -> bool:
    """Put thresholds, combiner and its checks into the configuration; a policy that judges nothing
    changes the route's threshold alone."""
    from gateway.app import read_settings
    from router_models.commands.edit import BarEdit, write_policy, write_threshold

    path = args.config or common.CONFIG
    policy, combiner = chosen.policy, chosen.policy.combiner
    settings = read_settings(path, os.environ)
    name = args.route or next(iter(settings.routes))
    if combiner is None:
        write_threshold(path, name, policy.threshold)
        return True
    tier = settings.routes[name].tiers[0]
    checks = [spec.name for spec in tier.bar.checks if spec.name != "unsure"]
    checks += [check for check in (*combiner.free, *combiner.paid) if check not in checks]
    folder = os.path.relpath(args.out.resolve(), path.resolve().parent)
    write_policy(
        path,
        name,
        policy.threshold,
        BarEdit(tier.name, policy.accept, policy.min_gain, folder, tuple(checks)),
    )
    return True


def _text(told: dict[str, Any], chosen: Chosen) -> str:
    lines = [told["verdict"]]
    if told["kind"] in {"route", "joint"}:
        lines.append(f"threshold {told['threshold']:.4f}")
    if told["accept"] is not None:
        lines.append(f"accept    {told['accept']:.4f}, min_gain {told['min_gain']:g}")
        lines.append(f"free      {', '.join(told['checks']['free']) or 'none'}")
    for check, found in told["checks"]["paid"].items():
        low, high = found["band"]
        lines.append(
            f"bought    {check} where the confidence before it is from {low:.3f} to {high:.3f}: "
            f"of {found['bought']:.1%} of what starts small"
        )
    lines += [f"not worth its price here: {check}" for check in told["checks"]["not_worth_it"]]
    if told["calibration_error"] is not None:
        lines.append(f"calibration error of the confidence {told['calibration_error']:.3f}")
    lines.append(
        f"quality   {_interval(told['quality'])} of the strong tier's, by folds (no promise)"
    )
    lines.append(
        f"saved     {_interval(told['saved'])} of its cost, {_interval(told['beyond_blind'])} more "
        "than a blind mix of the tiers"
    )
    lines.append("frontier  to the strong tier, quality and cost as parts of the strong tier's:")
    lines += _frontier(chosen.points, chosen.at)
    if "combiner" in told:
        lines.append(f"combiner  {told['combiner']}")
    if told.get("written"):
        lines.append("written   to the configuration")
    return "\n".join(lines)


def _frontier(points: tuple[Point, ...], at: Point | None) -> list[str]:
    lines: dict[str, None] = {}
    for each in sorted(points, key=lambda point: point.cost):
        mark = " <- the target" if each is at else ""
        lines[
            f"  {each.share:6.1%} up, quality {each.quality:6.1%}, cost {each.cost:6.1%} "
            f"({'/'.join(each.kinds)}){mark}"
        ] = None
    return list(lines)


def _interval(found: dict[str, Any]) -> str:
    return f"{found['value']:.1%} (95 %: {found['low']:.1%} to {found['high']:.1%})"
