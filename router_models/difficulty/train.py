"""Train a scorer from recorded outcomes: `python -m router_models.difficulty.train`."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from router_models.difficulty.card import write_card
from router_models.difficulty.data import DataError, Row, read_pairs, read_rows
from router_models.difficulty.evaluate import TRAININGS, evaluate, table_of
from router_models.difficulty.export import write_artefact
from router_models.difficulty.model import Model, Settings, fit

CARD = "card.md"


def train(rows: Sequence[Row], settings: Settings) -> tuple[Model, dict[str, Any]]:
    """Fit on all rows; returns the model and where it came from.

    The same rows and settings give the same model. Raises DataError when the rows are too few or
    too alike.
    """
    table = table_of(rows)
    provenance = {
        "rows": len(rows),
        "questions": len(set(table.groups)),
        "sources": dict(sorted(Counter(row.source for row in rows).items())),
        **asdict(settings),
    }
    return fit(table, settings), provenance


def main(argv: Sequence[str] | None = None) -> None:
    """Train on pair files or one's own rows; write artefact and card, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m router_models.difficulty.train")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=Path, metavar="DIR", help="folder of pair files")
    where.add_argument(
        "--rows",
        type=Path,
        metavar="FILE",
        help="one's own rows, CSV or JSONL: prompt, weak_score, strong_score",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--label", default="default@1", help="name@version (default: default@1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alpha", type=float, default=Settings().alpha, help="the ridge's penalty")
    parser.add_argument(
        "--judge",
        choices=TRAININGS,
        action="append",
        help="what the card reports (default: mixed for --data, own for --rows)",
    )
    options = parser.parse_args(argv)
    settings = Settings(alpha=options.alpha, seed=options.seed)
    try:
        rows = read_pairs(options.data) if options.data else read_rows(options.rows)
        model, provenance = train(rows, settings)
        ways = options.judge or ["mixed" if options.data else "own"]
        results = evaluate(rows, settings, ways)
    except DataError as error:
        parser.exit(2, f"{error}\n")
    write_artefact(options.out, model, options.label, provenance)
    card = write_card(options.label, provenance, results, shipped=bool(options.data))
    (options.out / CARD).write_text(card, encoding="utf-8")
    print(card)


if __name__ == "__main__":
    main()
