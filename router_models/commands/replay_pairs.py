"""`waterfall replay --data`: what another policy would have come to, over recorded pairs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router_models.cascade.options import add_evidence
from router_models.commands import common

if TYPE_CHECKING:
    from router_models.cascade.fit import Priors
    from router_models.cascade.pairs import Pairs

ACCEPT = 0.7
MIN_GAIN = 0.05
RESAMPLES = 1000
POLICIES = ("always-small", "always-large", "route", "cascade", "joint")
_FIXED = {"always-large": 0.0, "always-small": 1.0, "cascade": 1.0}
"""The thresholds of the policies that do not route."""


def add_options(parser: argparse._ActionsContainer) -> None:
    """Add what goes with --data; None is what nobody has given."""
    parser.add_argument(
        "--policy",
        choices=POLICIES,
        help="route by difficulty, judge the small tier's replies, or both (default: cascade)",
    )
    parser.add_argument(
        "--threshold", type=common.share, metavar="T",
        help="with route and joint: as in a route; with --ledger and --sample: decide again at "
        "this (first) threshold, all else as it was",
    )  # fmt: skip
    parser.add_argument("--accept", type=common.share, help=f"as in a bar: {ACCEPT:g}")
    parser.add_argument("--min-gain", type=common.share, help=f"as in a bar: {MIN_GAIN:g}")
    parser.add_argument(
        "--checks", type=_names, metavar="A,B", help="the bar's (default: the combiner's)"
    )
    parser.add_argument(
        "--confidence", type=Path, metavar="PATH", help="the bar's combiner, or its folder"
    )
    parser.add_argument(
        "--scorer",
        metavar="DIR",
        help="says how difficult a request is: an artefact, or default; without it one is trained "
        "on the other folds of the data itself",
    )
    add_evidence(parser)
    parser.add_argument(
        "--resamples", type=common.count(1), metavar="N", help=f"for the intervals: {RESAMPLES}"
    )


def run(args: argparse.Namespace) -> int:
    """Replay. Exit code 2 for a wrong use, or data that cannot be used."""
    told = over_pairs(args)
    common.show(json.dumps(told, indent=1) if args.json else _text(told))
    return 0


def over_pairs(args: argparse.Namespace) -> dict[str, Any]:
    """Replay a policy over a pair file. Raises UseError, DataError or ArtefactError."""
    from router_models.cascade.options import read_evidence
    from router_models.cascade.policy import Policy
    from router_models.cascade.replay import bar_of, replay, told

    name = args.policy or "cascade"
    _check(args, name)
    pairs = read_evidence(args, args.data)
    judged = name in {"cascade", "joint"}
    combiner = _combiner(args.confidence) if judged and args.confidence else None
    accept = ACCEPT if args.accept is None else args.accept
    min_gain = MIN_GAIN if args.min_gain is None else args.min_gain
    threshold = _FIXED.get(name, args.threshold)
    policy = Policy(float(threshold), accept if judged else 0.0, min_gain, combiner)
    wanted = args.checks
    if combiner is not None and wanted is None:
        wanted = (*combiner.free, *combiner.paid)
    if missing := [check for check in wanted or () if check not in pairs.said]:
        common_checks = ", ".join(pairs.said) or "none"
        raise common.UseError(f"no evidence of the check {missing[0]!r}; there is: {common_checks}")
    bar = bar_of(policy, pairs, wanted if judged else ())
    priors = _priors(args, pairs) if _needs_scorer(args, name) else _nobody(pairs)
    played = replay(policy.threshold, bar, pairs, priors)
    return {"policy": name} | told(played, pairs, args.resamples or RESAMPLES)


def _needs_scorer(args: argparse.Namespace, policy: str) -> bool:
    return policy in {"route", "joint"} or (policy == "cascade" and args.confidence is not None)


def _check(args: argparse.Namespace, policy: str) -> None:
    """Refuse options that would change nothing. Raises UseError."""
    routes, judges = policy in {"route", "joint"}, policy in {"cascade", "joint"}
    if routes == (args.threshold is None):
        raise common.UseError("--threshold goes with --policy route or joint, and they need it.")
    if judges == (args.checks is None and args.confidence is None):
        raise common.UseError(
            "--checks and --confidence go with --policy cascade or joint, which need one of them."
        )
    if not judges and (args.accept is not None or args.min_gain is not None):
        raise common.UseError("--accept and --min-gain go with --policy cascade or joint.")
    if args.scorer is not None and not _needs_scorer(args, policy):
        raise common.UseError("--scorer goes with --policy route or joint, or --confidence.")


def _combiner(path: Path) -> Any:
    from gateway.config.combiner_file import FILE, read_combiner

    return read_combiner(path if path.suffix == ".json" else path / FILE)


def _priors(args: argparse.Namespace, pairs: Pairs) -> Priors:
    from gateway.scoring import open_plain
    from router_models.cascade.ground import by_scorer, prepare

    if args.scorer is None:
        return prepare(pairs).priors
    return by_scorer(open_plain(args.scorer), pairs)


def _nobody(pairs: Pairs) -> Priors:
    from router_models.cascade.fit import no_priors

    return no_priors(len(pairs))


def _names(written: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in written.split(","))
    if len(set(names)) != len(names) or not all(names):
        raise argparse.ArgumentTypeError("checks, each once, like tests,judge")
    return names


def _text(told: dict[str, Any]) -> str:
    success = (
        f"{_number(told['success'])}, always-large {_number(told['success_large'])}, always-small "
        f"{_number(told['success_small'])}"
    )
    lines = [f"{told['policy']} over {told['rows']:,} recorded requests"]
    lines.append(f"started large {_share(told['started_large'])}")
    lines.append(f"escalated     {_share(told['escalated'])}")
    lines.append(f"success       {success}")
    lines.append(
        f"cost          ${told['cost_usd']:.2f} against ${told['cost_large_usd']:.2f} for "
        f"always-large: saved {_share(told['saved'])}"
    )
    lines.append(f"beyond        a blind mix of the same success: {_share(told['beyond_blind'])}")
    lines.append("pays" if told["pays"] else "does not pay")
    return "\n".join(lines)


def _share(found: dict[str, Any]) -> str:
    return f"{found['value']:.1%} (95 %: {found['low']:.1%} to {found['high']:.1%})"


def _number(found: dict[str, Any]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
