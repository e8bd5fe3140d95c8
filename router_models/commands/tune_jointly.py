"""`waterfall tune` where there is evidence on answers: both thresholds, and the checks that pay."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router_models.commands import common

if TYPE_CHECKING:
    from gateway.core.combine import Combiner
    from gateway.core.verdict import CheckSpec
    from router_models.cascade.choose import Chosen, Point
    from router_models.cascade.ground import Ground
    from router_models.commands.tune_rows import Rows

LABEL: Final = "combined@1"
MIN_GAIN: Final = 0.05
_ALONE: Final = (
    *("samples", "sample_models", "sample_prompts", "sample_price", "check_price", "free"),
    *("price_ratio", "out", "label", "min_gain", "target_cost", "ledger"),
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
    from router_models.commands.tune_rows import rows_asked_for

    _check(args)
    rows = rows_asked_for(args)
    ground = rows.ground
    if not ground.pairs.strong.any():
        raise common.UseError(
            "the strong tier's labels are all 0: there is no quality to reach for. Are they the "
            "right way round?"
        )
    target = Target(args.target_quality, args.target_share, args.target_cost)
    with common.progress("fitting", len(PRICES)) as advance:
        min_gain = MIN_GAIN if args.min_gain is None else args.min_gain
        chosen = choose(ground, target, args.label or LABEL, min_gain, advance)
    told = {**_told(args, ground, chosen), **rows.told}
    if args.out and chosen.pays and chosen.policy.combiner is not None:
        told["combiner"] = str(_keep(args, rows, chosen, chosen.policy.combiner))
    refused = None
    if args.write and chosen.pays:
        try:
            told["changed_too"] = _write(args, chosen, pin=rows.moves)
            told["written"] = True
        except common.UseError as error:
            refused = error  # what was found is told all the same
    common.show(json.dumps(told, indent=1) if args.json else _text(told, chosen))
    if refused is not None:
        raise refused
    return 0 if chosen.pays else 1


def _check(args: argparse.Namespace) -> None:
    """Refuse options that would change nothing. Raises UseError."""
    if args.data and (len(args.data) > 1 or args.ledger):
        raise common.UseError(
            "both thresholds are tuned on one pair file, --data FILE, or on one ledger, "
            "--ledger URL_OR_FILE."
        )
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
            "weak and strong, or on a route's two tiers."
        )


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


def _keep(args: argparse.Namespace, rows: Rows, chosen: Chosen, combiner: Combiner) -> Path:
    from gateway.config.combiner_file import write_combiner

    figures = {name: chosen.told[name]["value"] for name in ("quality", "saved", "beyond_blind")}
    provenance = {
        "data": rows.source,
        "samples": {"file": args.samples.name, "models": list(args.sample_models)}
        if args.samples
        else None,
        "n": len(rows.ground.pairs),
        "price_ratio": rows.ground.pairs.ratio,
        "date": datetime.now(tz=UTC).date().isoformat(),
        "metrics": figures | {"calibration_error": chosen.told["calibration_error"]},
    }
    return write_combiner(args.out, combiner, provenance)


def _write(args: argparse.Namespace, chosen: Chosen, *, pin: bool) -> list[str]:
    """Put thresholds, combiner and its checks into the configuration; a policy that judges nothing
    changes the route's threshold alone. `pin` keeps the threshold's meaning. Return the other
    routes whose replies are judged by the changed bar from now on."""
    from gateway.app import read_settings
    from router_models.commands.edit import BarEdit, write_policy, write_threshold

    path = args.config or common.CONFIG
    policy, combiner = chosen.policy, chosen.policy.combiner
    settings = read_settings(path, os.environ)
    name = args.route or next(iter(settings.routes))
    if combiner is None or policy.kind not in {"cascade", "joint"}:
        write_threshold(path, name, policy.threshold, pin=pin)
        return []
    tier = settings.routes[name].tiers[0]
    weighed = (*combiner.free, *combiner.paid)
    checks = [
        spec.name
        for spec in tier.bar.checks
        if spec.name != "unsure" and (spec.name in weighed or not _is_dear(spec))
    ]
    checks += [check for check in weighed if check not in checks]
    folder = os.path.relpath(args.out.resolve(), path.resolve().parent)
    write_policy(
        path,
        name,
        policy.threshold,
        BarEdit(tier.name, policy.accept, policy.min_gain, folder, tuple(checks)),
        pin=pin,
    )
    others = [each for each in settings.routes.values() if each.name != name]
    return [each.name for each in others if tier.name in [one.name for one in each.tiers[:-1]]]


def _is_dear(spec: CheckSpec) -> bool:
    """Does it cost money? One that no combiner weighs would be bought for every reply."""
    return spec.cost > 0 or spec.asks is not None


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
    lines += [
        f"not worth its price here: {check}; --write takes it out of the bar"
        for check in told["checks"]["not_worth_it"]
    ]
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
    lines += [f"note      {note}" for note in told.get("notes", ())]
    if "combiner" in told:
        lines.append(f"combiner  {told['combiner']}")
    if told.get("written"):
        lines.append("written   to the configuration")
    if told.get("changed_too"):
        lines.append(
            f"changed   too: {', '.join(told['changed_too'])}, by the same tier. The bar is fitted "
            "to this route alone: give it a tier of its own where that is not meant"
        )
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
