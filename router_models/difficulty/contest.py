"""Is one artefact better than another by more than noise, on requests that neither has met?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from router_models.difficulty.data import Outcomes
from router_models.difficulty.evaluate import by_artefact, open_artefact, unseen
from router_models.difficulty.formats import DataError
from router_models.difficulty.metrics import Array, apgr, resampled, summary
from router_models.difficulty.report import RESAMPLES, case_of

RANDOM = "random"
"""What a candidate is held against where nothing is in force."""


@dataclass(frozen=True, slots=True)
class Contest:
    """What came of it: `told` is JSON, `is_better` whether the lower end of the difference's 95 %
    interval is over 0."""

    told: dict[str, Any]
    is_better: bool

    @property
    def sentence(self) -> str:
        """The same for reading."""
        found, told = self.told["difference"], self.told
        text = (
            f"APGR {told['candidate_apgr']:.3f} of {told['candidate']} against "
            f"{told['rival_apgr']:.3f} of {told['rival']} on {told['n']:,} requests: "
            f"{found['value']:+.3f} (95 %: {found['low']:+.3f} to {found['high']:+.3f})."
        )
        if self.is_better:
            return text
        if found["high"] < 0:
            return f"{text}\nIt is worse, by more than noise."
        needed = told["labels_needed"]
        more = (
            "no number of labels would show it to be better, if this is the difference"
            if needed is None
            else f"about {needed:,} labels would tell whether this difference is real"
        )
        return f"{text}\nThat may be noise; {more}."


def contest(
    outcomes: Outcomes,
    candidate: Path,
    rival: Path | None,
    seed: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> Contest:
    """Compare by a paired bootstrap of APGR's difference; without a rival against random routing.

    Raises DataError when no row is new to both, or the strong tier is not the better one on them.
    """
    folders = [candidate] if rival is None else [candidate, rival]
    scorers = [open_artefact(folder, len(outcomes.tiers)) for folder in folders]
    fresh = unseen(outcomes, scorers)
    case = case_of(fresh.rows)
    weights = resampled(case.numbers, RESAMPLES, seed)
    areas: list[Array] = []
    for scorer in scorers:
        run = by_artefact(fresh.rows, scorer)
        areas.append(apgr(run.ranking, case.recorded, weights))
        advance()
    if rival is None:
        areas.append(np.full(len(weights), 0.5))
    if np.isnan(areas[0][0]):
        raise DataError("The strong tier is not the better one on these rows: nothing to compare.")
    difference = summary(areas[0] - areas[1])
    value, low = (float(difference[key] or 0.0) for key in ("value", "low"))
    told = {
        "candidate": scorers[0].label,
        "rival": scorers[1].label if rival else RANDOM,
        "n": len(fresh.rows),
        "candidate_apgr": float(areas[0][0]),
        "rival_apgr": float(areas[1][0]),
        "difference": difference,
        "labels_needed": _needed(len(fresh.rows), value, low),
        "dropped": dict(fresh.dropped),
    }
    return Contest(told, low > 0)


def _needed(n: int, value: float, low: float) -> int | None:
    """With how many labels the interval's lower end would reach 0: it narrows by their root."""
    if value <= 0:
        return None
    return max(ceil(n * ((value - low) / value) ** 2), 1)
