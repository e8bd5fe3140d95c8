"""What a model is fitted to: readings laid out once for all fits, with their outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.scorers.features import Array, Reading, slow_counters
from gateway.scorers.static import static


@dataclass(frozen=True, slots=True)
class Rows:
    """Readings laid out one view a row: reading i has the rows from `bounds[i]` to the next bound.
    `counters` is (rows, COUNTERS), `vectors` (rows, dimensions)."""

    words: Sequence[Sequence[bytes]]
    counters: Array
    vectors: Array
    bounds: Sequence[int]

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> Rows:
        """Lay readings out."""
        words = [r.words[start:stop] for r in readings for start, stop in r.spans]
        return cls(
            words,
            np.concatenate([slow_counters(reading) for reading in readings]),
            np.array([_vector(each) for each in words]),
            [0, *np.cumsum([len(reading.spans) for reading in readings]).tolist()],
        )

    def take(self, readings: Sequence[int], *, whole: bool = False) -> Rows:
        """Return the rows of some readings; `whole`: only their first views."""
        spans = [range(self.bounds[i], self.bounds[i] + 1 if whole else self.bounds[i + 1])
                 for i in readings]  # fmt: skip
        at = [row for span in spans for row in span]
        bounds = [0, *np.cumsum([len(span) for span in spans]).tolist()]
        words = [self.words[row] for row in at]
        return Rows(words, self.counters[at], self.vectors[at], bounds)


@dataclass(frozen=True, slots=True)
class Table:
    """N rows: what was read of each, (N, H) outcomes 0..1, question groups and weights. `rows`
    holds the same readings laid out, once for all fits."""

    readings: Sequence[Reading]
    outcomes: Array
    groups: Sequence[int]
    weights: Array
    rows: Rows | None = None

    @property
    def laid_out(self) -> Rows:
        """The readings' views, laid out."""
        return self.rows or Rows.of(self.readings)

    def take(self, rows: Sequence[int]) -> Table:
        """Return some of the rows."""
        readings = [self.readings[i] for i in rows]
        groups = [self.groups[i] for i in rows]
        laid_out = self.laid_out.take(rows)
        return Table(readings, self.outcomes[rows], groups, self.weights[rows], laid_out)


def _vector(words: Sequence[bytes]) -> Array:
    added: Array = static().embed(words).sum(0, dtype=np.float64)
    return added
