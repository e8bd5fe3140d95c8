"""`waterfall promote`: a candidate into force, if it is better by more than noise."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from router_models.commands import common


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = common.add(commands, "promote", run, "put a scorer in force, if it is the better one")
    parser.add_argument("candidate", type=Path, metavar="CANDIDATE", help="an artefact's folder")
    parser.add_argument("--shelf", type=Path, required=True, metavar="DIR")
    common.add_data(parser)
    common.add_seed(parser)
    parser.add_argument(
        "--force",
        metavar="NOTE",
        help="put it in force whatever the comparison says; the history keeps the note",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Promote. Exit code 1 when the candidate is not better by more than noise."""
    from gateway.scorers import resolve
    from gateway.scorers.shelf import is_shelf
    from router_models.difficulty.contest import contest
    from router_models.difficulty.shelf import check_shelf, put

    check_shelf(args.shelf)
    outcomes = common.read_data(args, once=True)
    rival = resolve(args.shelf) if is_shelf(args.shelf) else None
    with common.progress("scoring", 2 if rival else 1) as advance:
        found = contest(outcomes, args.candidate, rival, args.seed, advance)
    promoted = found.is_better or args.force is not None
    if promoted:
        note = found.told | ({"forced": args.force} if args.force is not None else {})
        put(args.shelf, args.candidate, note, at=datetime.now(tz=UTC).isoformat(timespec="seconds"))
    if args.json:
        common.show(json.dumps(found.told | {"promoted": promoted}, indent=1))
    else:
        common.show(
            f"{found.sentence}\n{_outcome(args, promoted=promoted, better=found.is_better)}"
        )
    return 0 if promoted else 1


def _outcome(args: argparse.Namespace, *, promoted: bool, better: bool) -> str:
    if not promoted:
        return "Not promoted. (--force NOTE does it all the same.)"
    return f"{args.candidate} is in force on {args.shelf}" + ("." if better else ", by force.")
