"""`waterfall train`: from recorded outcomes to an artefact and its card."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from router_models.commands import common

if TYPE_CHECKING:
    from router_models.difficulty.train import Trained


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = common.add(commands, "train", run, "learn difficulty from recorded outcomes")
    common.add_data(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the artefact's folder"
    )
    parser.add_argument(
        "--label",
        metavar="NAME@VERSION",
        help="default: the folder's name, and @1 or the version after the one that is there",
    )
    common.add_seed(parser)
    parser.add_argument(
        "--about",
        type=Path,
        metavar="FILE",
        help="Markdown for the card: whose data it is, and under which licence",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace another artefact of the same label"
    )


def run(args: argparse.Namespace) -> int:
    """Train. Exit code 2 for data that cannot be learnt from, or a label that is taken."""
    from router_models.difficulty import shelf
    from router_models.difficulty.duplicates import static_vectors
    from router_models.difficulty.model import Settings
    from router_models.difficulty.train import steps_of, train

    about = args.about.read_text(encoding="utf-8") if args.about else ""
    label = args.label or shelf.next_label(args.out)
    shelf.check_label(label)
    shelf.check_folder(args.out)
    outcomes = common.read_data(args)
    with common.progress("training", steps_of(outcomes)) as advance:
        trained = train(outcomes, Settings(seed=args.seed), static_vectors, advance)
    provenance = trained.provenance | {"date": datetime.now(tz=UTC).date().isoformat()}
    written = shelf.write(args.out, trained, label, provenance, about, force=args.force)
    _tell(trained, label, args.out, written=written)
    return 0


def _tell(trained: Trained, label: str, folder: Path, *, written: bool) -> None:
    from router_models.difficulty import card, tables

    tables.show(trained.figures, None)
    common.show(f"\nWhat labels bring:\n{card.efficiency(trained.efficiency)}\n")
    done = "is in" if written else "was in, the same,"
    common.show(f"{label} {done} {folder}; {folder / 'card.md'} says more.")
    common.show(f"To serve it: `scorer: {folder}` in the configuration.")
