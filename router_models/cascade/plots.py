"""Is a confidence what it says? A picture of promised against kept, on questions not met."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from matplotlib.figure import Figure

from router_models.cascade.pairs import Pairs
from router_models.difficulty.metrics import BINS, Array, calibration_error

_STEP: Final = 1 / BINS
_FEW: Final = 10
"""A bin with fewer rows shows no point: it would say nothing."""


class Said(Protocol):
    """P(good) of both tiers, (N,) each."""

    @property
    def own(self) -> Array:
        """Of the weak reply."""
        ...

    @property
    def next(self) -> Array:
        """Of the strong tier's."""
        ...


def draw(path: Path, pairs: Pairs, said: Said, title: str) -> None:
    """Draw both probabilities' calibration into a file."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots(1, 2)
    _one(axes[0], said.own, pairs.weak, "this reply is good")
    _one(axes[1], said.next, pairs.strong, "the next tier's would be")
    figure.suptitle(f"{title}: {len(pairs):,} questions, each judged by a fit to others")
    figure.savefig(path, dpi=120)


def _one(axis: Any, chances: Array, outcomes: Array, what: str) -> None:
    bins = np.minimum((chances * BINS).astype(int), BINS - 1)
    found = [np.flatnonzero(bins == each) for each in range(BINS)]
    held = [rows if len(rows) >= _FEW else rows[:0] for rows in found]
    sizes = np.array([len(rows) for rows in held])
    promised = np.array([chances[rows].mean() if len(rows) else np.nan for rows in held])
    kept = np.array([outcomes[rows].mean() if len(rows) else np.nan for rows in held])
    error = np.sqrt(np.maximum(kept * (1 - kept), 1e-4) / np.maximum(sizes, 1)) * 1.96
    axis.bar(np.arange(BINS) * _STEP, sizes / sizes.sum(), _STEP, align="edge", color="0.9")
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    axis.errorbar(promised, kept, error, fmt="o", markersize=4, capsize=2)
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="promised", ylabel="kept (bars: share of replies)")
    axis.set_title(f"P({what}), error {calibration_error(chances, outcomes):.3f}", fontsize=10)
