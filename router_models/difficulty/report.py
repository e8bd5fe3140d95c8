"""From experiments to figures with their intervals, beside what knows nothing and what knows all.

The figures are those of docs/scorer.md: `{"value", "low", "high"}` each, a value that there is none
of being None with the `reason`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from router_models.difficulty.data import Row
from router_models.difficulty.duplicates import Integers, questions
from router_models.difficulty.evaluate import Run
from router_models.difficulty.metrics import (
    COSTLY,
    FIGURES,
    Array,
    Curve,
    Recorded,
    apgr,
    calibration_errors,
    figures,
    head_aurocs,
    mean_of,
    resampled,
    summary,
)

Figure = dict[str, Any]
RESAMPLES: Final = 1_000
TASK_RESAMPLES: Final = 300
BESIDE: Final = ("random", "length", "oracle")
"""What a ranking is held against: one that knows nothing, the longest prompt first, and one that
knows both answers."""
_PRICED: Final = 0.9
"""Where fewer rows than this share have known costs, nothing is said of money."""
_KINDS: Final = {"recorded": "recorded", "none": "unknown"}
"""Of costs; every other kind is an estimate."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """N rows as arrays: outcomes (N, H), USD (N, H; nan unknown), lengths (N,), numbers (N,) of
    their questions. `kind` says where costs are from."""

    outcomes: Array
    costs: Array
    lengths: Array
    numbers: Integers
    tasks: Sequence[str]
    kind: str

    @property
    def recorded(self) -> Recorded:
        """The first tier against the last one."""
        ends = (self.outcomes, self.costs)
        return Recorded(*(table[:, place] for table in ends for place in (0, -1)))

    def take(self, rows: Integers) -> Case:
        """Return some of the rows."""
        return Case(
            self.outcomes[rows], self.costs[rows], self.lengths[rows], self.numbers[rows],
            [self.tasks[i] for i in rows], self.kind,
        )  # fmt: skip


def case_of(rows: Sequence[Row], by: str = "task") -> Case:
    """Lay rows out as arrays; a row's task is its `task` or its `source`."""
    heads = len(rows[0].scores)
    unknown = (None,) * heads
    costs = [[np.nan if c is None else c for c in row.costs or unknown] for row in rows]
    kinds = sorted({_KINDS.get(row.cost_kind, "estimated") for row in rows})
    return Case(
        np.array([row.scores for row in rows], np.float64),
        np.array(costs, np.float64),
        np.array([len(row.signals.text) for row in rows], np.float64),
        questions(row.signals.text for row in rows),
        [row.source if by == "source" else row.task for row in rows],
        " and ".join(kinds),
    )


def judge(
    case: Case,
    runs: Sequence[Run],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Return n, the figures of the runs (their mean) and those of BESIDE.

    `advance` is called after each ranking that is judged.
    """
    weights = resampled(case.numbers, resamples, seed)
    told: dict[str, Any] = {"n": len(case.outcomes), "costs": case.kind}
    told |= _qualities(case, weights)
    parts = []
    for run in runs:
        parts.append(_ranked(run.ranking, case.take(run.rows), weights[:, run.rows]))
        advance()
    told |= _told(mean_of(parts), case) | _of_heads(case, runs, weights)
    rankings = {
        "random": np.zeros(len(case.lengths)),
        "length": case.lengths,
        "oracle": case.recorded.strong - case.recorded.weak,
    }
    for name in BESIDE:
        told[name] = _told(_ranked(rankings[name], case, weights), case)
        advance()
    return told


def by_task(
    case: Case, runs: Sequence[Run], *, resamples: int = TASK_RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Return the same for each task alone, held against length's APGR only; largest first."""
    told: dict[str, Any] = {}
    for task, _ in Counter(case.tasks).most_common():
        rows = np.array([i for i, each in enumerate(case.tasks) if each == task], np.int64)
        within = np.full(len(case.tasks), -1, np.int64)
        within[rows] = np.arange(len(rows))
        own = [each for each in (_only(run, within) for run in runs) if len(each.rows)]
        if not own:
            continue
        part = case.take(rows)
        weights = resampled(part.numbers, min(resamples, TASK_RESAMPLES), seed)
        ranked = [_ranked(run.ranking, part.take(run.rows), weights[:, run.rows]) for run in own]
        by_length = {"apgr": summary(apgr(part.lengths, part.recorded, weights))}
        told[task] = {
            "n": len(rows),
            **_qualities(part, weights),
            **_told(mean_of(ranked), part),
            **_of_heads(part, own, weights),
            "length": by_length,
        }
    return told


def operating(case: Case, run: Run, share: float) -> dict[str, float | None]:
    """Return what sending the highest `share` up comes to: quality, recovered gap, saved cost."""
    recorded = case.take(run.rows).recorded
    curve = Curve(run.ranking, recorded, np.ones((1, len(run.rows))))
    shares, quality, cost = curve.points()
    reached, spent = (float(np.interp(share, shares, each)) for each in (quality, cost))
    gap = float(quality[-1] - quality[0])
    return {
        "share": share,
        "quality": reached,
        "pgr": (reached - float(quality[0])) / gap if gap > 0 else None,
        "saved": 1 - spent / float(cost[-1]) if cost[-1] > 0 and not np.isnan(spent) else None,
    }


def _only(run: Run, within: Integers) -> Run:
    """What a run says of some rows, by their numbers among those."""
    kept = within[run.rows] >= 0
    values = None if run.values is None else run.values[kept]
    return Run(within[run.rows[kept]], run.ranking[kept], run.p_good[kept], values)


def _qualities(case: Case, weights: Array) -> dict[str, Figure]:
    means = weights @ case.outcomes / weights.sum(axis=1)[:, None]
    return {"weak_quality": summary(means[:, 0]), "strong_quality": summary(means[:, -1])}


def _ranked(ranking: Array, case: Case, weights: Array) -> dict[str, Array]:
    recorded = case.recorded
    told = figures(ranking, recorded, weights)
    known = np.flatnonzero(~np.isnan(recorded.weak_cost + recorded.strong_cost))
    if _PRICED * len(ranking) <= len(known) < len(ranking):
        priced = figures(ranking[known], recorded.take(known), weights[:, known])
        told |= {name: priced[name] for name in COSTLY}
    return told


def _told(ranked: Mapping[str, Array], case: Case) -> dict[str, Figure]:
    told = {name: summary(ranked[name]) for name in FIGURES}
    for name, figure in told.items():
        if figure["value"] is None:
            figure["reason"] = _reason(name, case)
    return told


def _reason(name: str, case: Case) -> str:
    """Why there is no such figure."""
    recorded = case.recorded
    unknown = int(np.isnan(recorded.weak_cost + recorded.strong_cost).sum())
    if name in COSTLY and unknown > (1 - _PRICED) * len(recorded.weak):
        return f"costs are unknown in {unknown:,} of {len(recorded.weak):,} rows"
    if name in COSTLY:
        return "the strong tier costs no more than the weak one"
    if name == "auroc":
        return "the weak tier never fails, or always"
    return "the strong tier is not the better one on these rows"


def _of_heads(case: Case, runs: Sequence[Run], weights: Array) -> dict[str, Any]:
    """Each head's calibration error and AUROC, and the worst head's error by itself."""
    if not runs[0].p_good.shape[1]:
        reason = {"reason": "the scorer estimates no probabilities"}
        return {"ece": {"value": None, "low": None, "high": None} | reason}
    gaps, aurocs = [], []
    for run in runs:
        outcomes, drawn = case.outcomes[run.rows], weights[:, run.rows]
        gaps.append(calibration_errors(run.p_good, outcomes, drawn))
        aurocs.append(head_aurocs(run.p_good, outcomes, drawn))
    errors = np.mean(gaps, axis=0)
    heads = [summary(head, centred=True) for head in errors.T]
    return {
        "ece": heads[int(np.argmax(errors[0]))],
        "ece_heads": heads,
        "auroc_heads": [summary(head) for head in np.mean(aurocs, axis=0).T],
    }
