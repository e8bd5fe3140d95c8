"""Run experiments: learn from some rows, or take an artefact, and say what it thinks of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gateway.core.ports import Scorer
from gateway.core.ranks import rank
from gateway.core.signals import Signals
from gateway.scorers import load
from gateway.scorers.features import read
from gateway.scorers.hashes import question_hash
from gateway.scorers.linear import LinearScorer
from router_models.difficulty.data import Outcomes, Row, balance
from router_models.difficulty.duplicates import (
    Embed,
    Integers,
    near_duplicates,
    nearness,
    questions,
)
from router_models.difficulty.formats import DataError
from router_models.difficulty.metrics import Array
from router_models.difficulty.model import Settings, fit, gain
from router_models.difficulty.splits import Split, all_others, by_question, few_labels
from router_models.difficulty.table import Rows, Table

Advance = Callable[[], object]
"""Told after each step of something long."""
_CHEAPER: Settings = Settings(folds=3)
"""An experiment's calibration needs not as many folds of its own as the real one's."""


MET = "met in training"


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What was said of `rows` (R,) by something that had not met their questions: a ranking (R,),
    highest first to the strong tier, and P(good) of each tier, (R, H), H 0 where none is said.
    `values` are difficulties 0..1, where an artefact said them. `removed` counts the rows that
    were near-duplicates across the split and were left out."""

    rows: Integers
    ranking: Array
    p_good: Array
    values: Array | None = None
    removed: int = 0


def table_of(rows: Sequence[Row]) -> Table:
    """Read every row once and number its question."""
    readings = [read(row.signals) for row in rows]
    return Table(
        readings,
        np.array([row.scores for row in rows]),
        near_duplicates([row.signals.text for row in rows]),
        np.array(balance([row.source for row in rows])),
        Rows.of(readings),
    )


class Bench:
    """Rows ready for experiments: read once, compared once."""

    def __init__(self, rows: Sequence[Row], settings: Settings, embed: Embed | None = None) -> None:
        """`embed` gives the static vectors by which near-duplicates are found too."""
        texts = [row.signals.text for row in rows]
        self._table = table_of(rows)
        self._settings = replace(settings, folds=min(settings.folds, _CHEAPER.folds))
        self._heads = len(rows[0].scores)
        self._numbers = questions(texts)
        self._nearness = nearness(texts, embed)

    def by_folds(self, folds: int, seed: int, advance: Advance = _nothing) -> Run:
        """Judge every row after learning from other questions' rows. Raises DataError."""
        runs = []
        for split in by_question(self._numbers, self._nearness, folds, seed):
            runs.append(self._run(split, seed))
            advance()
        return joined(runs)

    def by_labels(self, labels: int, seed: int, advance: Advance = _nothing) -> Run:
        """Judge all rows but `labels` of them, drawn by `seed`, that are learnt from."""
        run = self._run(few_labels(self._numbers, self._nearness, labels, seed), seed)
        advance()
        return run

    def by_others(self, sources: Sequence[str], advance: Advance = _nothing) -> Run:
        """Judge every source after learning from the others: out of domain. A source is left out
        where the others, without what is like its own questions, teach nothing."""
        runs = [Run(np.empty(0, np.int64), np.empty(0), np.empty((0, self._heads)))]
        for source in sorted(set(sources)):
            own = np.array([i for i, each in enumerate(sources) if each == source], np.int64)
            with suppress(DataError):
                runs.append(self._run(all_others(self._numbers, self._nearness, own), 0))
            advance()
        return joined(runs)

    def _run(self, split: Split, seed: int) -> Run:
        settings = replace(self._settings, seed=seed)
        model = fit(self._table.take(split.train.tolist()), settings)
        p_good = model.chances(self._table.laid_out.take(split.test.tolist()))
        # As it is served, by difficulty: several models' gains, each with its training's mean, say
        # little beside each other, and pooled they rank against chance where there is little else.
        values = np.array([rank(each, model.reference) for each in gain(p_good).tolist()])
        return Run(split.test, values, p_good, removed=split.removed)


def joined(runs: Sequence[Run]) -> Run:
    """Put runs together that judged different rows."""
    rows = np.concatenate([run.rows for run in runs])
    order = np.argsort(rows)
    return Run(
        rows[order],
        np.concatenate([run.ranking for run in runs])[order],
        np.concatenate([run.p_good for run in runs])[order],
        removed=round(sum(run.removed for run in runs) / len(runs)),
    )


def by_artefact(rows: Sequence[Row], scorer: Scorer, advance: Advance = _nothing) -> Run:
    """Judge every row as the gateway would: by what its own scorer ranks on."""
    said = []
    for row in rows:
        said.append(scorer.score(row.signals))
        advance()
    chances = np.array([each.p_good for each in said], dtype=np.float64)
    return Run(
        np.arange(len(rows)),
        np.array([each.ranked for each in said]),
        chances.reshape(len(rows), -1),
        np.array([each.value for each in said]),
    )


def seen_by(scorer: Scorer) -> AbstractSet[int]:
    """Return the hashes of the questions that a scorer was trained on; none if it says none."""
    return scorer.seen if isinstance(scorer, LinearScorer) else frozenset()


def unseen(outcomes: Outcomes, scorers: Sequence[Scorer]) -> Outcomes:
    """Drop the rows whose questions any of these scorers was trained on.

    Raises DataError when none is left.
    """
    known = frozenset[int]().union(*map(seen_by, scorers))
    rows = tuple(row for row in outcomes.rows if question_hash(row.signals.text) not in known)
    if not rows:
        raise DataError(
            "Every row is among those that the artefact was trained on: judge it on others, or "
            "judge its training by folds (without --scorer)."
        )
    met = {MET: len(outcomes.rows) - len(rows)}
    return replace(outcomes, rows=rows, dropped={**outcomes.dropped, **met})


def open_artefact(folder: Path, heads: int) -> Scorer:
    """Open an artefact whose heads are for as many tiers. Raises ArtefactError or DataError."""
    scorer = load(folder)
    found = len(scorer.score(Signals(text="?", turns=1)).p_good)
    if found not in {0, heads}:
        raise DataError(f"{folder}: it knows {found} tiers, the data has {heads}.")
    return scorer
