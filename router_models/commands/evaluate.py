"""`waterfall evaluate`: how good a scorer is on recorded outcomes that it has not met."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router_models.commands import common

if TYPE_CHECKING:
    from router_models.difficulty.data import Outcomes
    from router_models.difficulty.evaluate import Run

FOLDS = 5
DRAWS = 10
SHARE = 0.2


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = common.add(
        commands, "evaluate", run, "judge a scorer, or its training, on recorded outcomes"
    )
    common.add_data(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--scorer", type=Path, metavar="DIR", help="judge this artefact or shelf as it is"
    )
    how.add_argument(
        "--folds",
        type=common.count(2),
        metavar="N",
        help=f"train on all questions but a fold's and judge on that, for each (default: {FOLDS})",
    )
    how.add_argument(
        "--labels",
        type=common.count(1),
        metavar="N",
        help="train on so many rows, drawn by lot, and judge on all others",
    )
    parser.add_argument(
        "--draws",
        type=common.count(1, common.MOST_RUNS),
        metavar="N",
        help=f"with --labels: average over so many draws (default: {DRAWS})",
    )
    common.add_seed(parser)
    parser.add_argument(
        "--seeds",
        type=common.count(1, common.MOST_RUNS),
        metavar="N",
        help="by folds: average over N ways to make them, from --seed on (default: 1)",
    )
    parser.add_argument(
        "--cosine",
        choices=["weighted", "plain"],
        help="how words count where near-duplicates are found: common ones little, or all alike, "
        "which takes all questions of one wording for one (default: weighted); not with --scorer",
    )
    parser.add_argument("--by", choices=["task", "source"], help="also judge each alone")
    parser.add_argument(
        "--resamples", type=common.count(1), default=1000, help="bootstrap (default: %(default)s)"
    )
    parser.add_argument(
        "--share",
        type=common.share,
        default=SHARE,
        help="the operating point: this much goes up (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the curves into a file")


def _check(args: argparse.Namespace) -> None:
    """Refuse options that would change nothing. Raises UseError."""
    if args.scorer and (args.seeds or args.draws or args.cosine):
        raise common.UseError(
            "--seeds, --draws and --cosine are of a training; --scorer judges an artefact as it is."
        )
    if args.seeds and args.labels:
        raise common.UseError("--seeds makes folds; with --labels say how many --draws.")
    if args.draws and not args.labels:
        raise common.UseError("--draws goes with --labels.")
    if args.plot and args.plot.suffix.lower() != ".png":
        raise common.UseError(f"--plot {args.plot}: it is a PNG that is drawn; name it so.")
    if args.plot and not args.plot.resolve().parent.is_dir():  # before minutes of training
        raise common.UseError(f"--plot {args.plot}: there is no folder {args.plot.parent}.")


def run(args: argparse.Namespace) -> int:
    """Evaluate. Exit code 2 for data or an artefact that cannot be used."""
    from router_models.difficulty import report

    _check(args)
    outcomes = common.read_data(args)
    outcomes, runs, how = _experiment(args, outcomes)
    case = report.case_of(outcomes.rows, by=args.by or "task")
    with common.progress("resampling", len(runs) + len(report.BESIDE)) as advance:
        told = report.judge(case, runs, resamples=args.resamples, seed=args.seed, advance=advance)
    told |= {"operating": report.operating(case, runs[0], args.share)}
    if args.by:
        told |= {f"by_{args.by}": report.by_task(case, runs, resamples=args.resamples)}
    told |= {"tiers": list(outcomes.tiers), "dropped": dict(outcomes.dropped), "how": how}
    if args.plot:
        from router_models.difficulty.plots import draw

        names = ", ".join(path.name.partition(".")[0] for path in args.data)
        draw(args.plot, case, runs[0], told, names)
        common.tell(f"drawn: {args.plot}")
    if args.json:
        common.show(json.dumps(told, indent=1))
    else:
        from router_models.difficulty.tables import show

        show(told, args.by)
    return 0


def _experiment(
    args: argparse.Namespace, outcomes: Outcomes
) -> tuple[Outcomes, list[Run], dict[str, Any]]:
    """Train and judge as asked: the rows judged, what was said of them, and how it was done."""
    if args.scorer:
        return _as_it_is(args, outcomes)
    from router_models.difficulty.duplicates import static_vectors
    from router_models.difficulty.evaluate import Bench
    from router_models.difficulty.model import Settings

    embed = partial(static_vectors, plain=args.cosine == "plain")
    bench = Bench(outcomes.rows, Settings(), embed)
    folds = args.folds or FOLDS
    runs = (args.draws or DRAWS) if args.labels else args.seeds or 1
    seeds = list(range(args.seed, args.seed + runs))
    steps = len(seeds) * (1 if args.labels else folds)
    with common.progress("training", steps) as advance:
        if args.labels:
            runs = [bench.by_labels(args.labels, seed, advance) for seed in seeds]
            what = f"trained on {args.labels:,} labels, judged on all others"
        else:
            runs = [bench.by_folds(folds, seed, advance) for seed in seeds]
            what = f"trained and judged by {folds} folds of questions"
    kept_away = round(sum(run.removed for run in runs) / len(runs))
    how = {"what": what, "seeds": seeds, "near_duplicates": kept_away}
    return outcomes, runs, how | ({"labels": args.labels} if args.labels else {"folds": folds})


def _as_it_is(
    args: argparse.Namespace, outcomes: Outcomes
) -> tuple[Outcomes, list[Run], dict[str, Any]]:
    from router_models.difficulty.evaluate import MET, by_artefact, open_artefact, unseen

    scorer = open_artefact(args.scorer, len(outcomes.tiers))
    outcomes = unseen(outcomes, [scorer])
    if met := outcomes.dropped[MET]:
        common.tell(f"{met:,} rows left out: the artefact was trained on their questions")
    with common.progress("scoring", len(outcomes.rows)) as advance:
        runs = [by_artefact(outcomes.rows, scorer, advance)]
    return outcomes, runs, {"what": f"{scorer.label}, as it is", "scorer": scorer.label}
