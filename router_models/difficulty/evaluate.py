"""Judge the scorer on questions it has not met: `python -m router_models.difficulty.evaluate`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from gateway.scorers.features import Array, read
from router_models.difficulty.data import Row, balance, near_duplicates, read_pairs, read_rows
from router_models.difficulty.metrics import auroc, calibration_error, curve, interval
from router_models.difficulty.model import Settings, Table, fit, folds, gain

RESAMPLES: Final = 200
EVERY: Final = "all"
TRAININGS: Final = {
    "mixed": "all sources, folds by question: what is shipped",
    "own": "this source alone, folds by question: what labels of one's own give",
    "others": "all other sources and none of this one's questions: out of domain",
}
COLUMNS: Final = (
    "apgr", "low", "high", "cpt50", "cpt80", "auroc_weak", "auroc_strong", "ece_weak",
    "ece_strong", "length_apgr",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """A source judged after one way of training; `random` is APGR .5, CPT .5 and .8 by definition.

    `length_apgr` ranks the longest prompt first. `low` and `high` bound APGR (bootstrap, 95 %).
    """

    training: str
    source: str
    n: int
    apgr: float
    low: float
    high: float
    cpt50: float
    cpt80: float
    auroc_weak: float
    auroc_strong: float
    ece_weak: float
    ece_strong: float
    length_apgr: float


def table_of(rows: Sequence[Row]) -> Table:
    """Read every row once and number its question."""
    return Table(
        [read(row.signals) for row in rows],
        np.array([row.scores for row in rows]),
        near_duplicates([row.signals.text for row in rows]),
        np.array(balance([row.source for row in rows])),
    )


def evaluate(rows: Sequence[Row], settings: Settings, trainings: Sequence[str]) -> list[Result]:
    """Judge each source after each way of training; see TRAININGS."""
    table = table_of(rows)
    sources = [row.source for row in rows]
    lengths = np.array([float(len(row.signals.text)) for row in rows])
    names = sorted(set(sources))
    results = []
    for training in trainings:
        chances = _held_out(table, sources, settings, training)
        for name in [*names, EVERY] if training == "mixed" and len(names) > 1 else names:
            at = [i for i, source in enumerate(sources) if name in {source, EVERY}]
            results.append(_judge(training, name, chances[at], table.outcomes[at], lengths[at]))
    return results


def as_markdown(results: Sequence[Result]) -> str:
    """Return the results as tables, one for each way of training."""
    lines = []
    for training in dict.fromkeys(result.training for result in results):
        lines += [f"**{training}**: {TRAININGS[training]}", ""]
        lines += ["| source | n | APGR | 95 % | CPT50 | CPT80 | AUROC weak / strong "]
        lines[-1] += "| ECE weak / strong | length-only APGR |"
        lines += ["|---|---|---|---|---|---|---|---|---|"]
        lines += [_line(result) for result in results if result.training == training]
        lines.append("")
    return "\n".join(lines)


def _line(one: Result) -> str:
    cells = (
        one.source, str(one.n), f"{one.apgr:.3f}", f"{one.low:.2f}-{one.high:.2f}",
        f"{one.cpt50:.0%}", f"{one.cpt80:.0%}", f"{one.auroc_weak:.2f} / {one.auroc_strong:.2f}",
        f"{one.ece_weak:.3f} / {one.ece_strong:.3f}", f"{one.length_apgr:.3f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _held_out(table: Table, sources: Sequence[str], settings: Settings, training: str) -> Array:
    """Each row's (H,) probabilities from a model that has not met its question."""
    chances = np.zeros_like(table.outcomes)
    for train, test in _splits(table, sources, settings, training):
        # The calibration's own folds need not be as many as the test's.
        model = fit(table.take(train), replace(settings, folds=3))
        chances[test] = model.p_good([table.readings[i] for i in test])
    return chances


def _splits(
    table: Table, sources: Sequence[str], settings: Settings, training: str
) -> Iterator[tuple[list[int], list[int]]]:
    if training == "mixed":
        yield from folds(table, settings)
        return
    for name in sorted(set(sources)):
        own = [i for i, source in enumerate(sources) if source == name]
        if training == "others":
            met = {table.groups[i] for i in own}
            yield [i for i, group in enumerate(table.groups) if group not in met], own
            continue
        for train, test in folds(table.take(own), settings):
            yield [own[i] for i in train], [own[i] for i in test]


def _judge(training: str, source: str, chances: Array, outcomes: Array, lengths: Array) -> Result:
    weak, strong = outcomes[:, 0], outcomes[:, -1]
    gains = gain(chances)
    return Result(
        training,
        source,
        len(weak),
        **asdict(curve(gains, weak, strong)),
        **dict(zip(("low", "high"), interval(gains, weak, strong, RESAMPLES), strict=True)),
        auroc_weak=auroc(chances[:, 0], weak),
        auroc_strong=auroc(chances[:, -1], strong),
        ece_weak=calibration_error(chances[:, 0], weak),
        ece_strong=calibration_error(chances[:, -1], strong),
        length_apgr=curve(lengths, weak, strong).apgr,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate by folds on pair files or one's own rows, and print tables or JSON."""
    parser = argparse.ArgumentParser(prog="python -m router_models.difficulty.evaluate")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=Path, metavar="DIR", help="folder of pair files")
    where.add_argument("--rows", type=Path, metavar="FILE", help="one's own rows, CSV or JSONL")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--training", choices=TRAININGS, action="append")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    rows = read_pairs(options.data) if options.data else read_rows(options.rows)
    ways = options.training or (list(TRAININGS) if options.data else ["own"])
    results = evaluate(rows, replace(Settings(), folds=options.folds, seed=options.seed), ways)
    if options.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
    else:
        print(as_markdown(results))


if __name__ == "__main__":
    main()
