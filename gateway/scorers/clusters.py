"""Likeness to clusters of texts: all that does not hang on the text is reckoned at the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.scorers.features import COUNTERS, MOST_VIEWS, Array

Floats = NDArray[np.float32]

_ONES: Final = np.ones(1024)
_NOTHING: Final = 1e-24
"""A vector of a smaller square has no direction."""


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """K clusters of texts in a space of D static dimensions and C counters; H heads.

    A text's place there is its static vector, of length 1, less `mean` (D,), of length 1 again;
    and its counters, `(counter - middle) * scale`, each cut to within `cap`. `centres` is
    (K, D + C); likeness to a centre is `exp(-sharpness * squared distance)`, and `heads`, (K, H),
    weighs it; `counters`, (C, H), weighs the scaled counters themselves. `far` is the squared
    distance to the nearest centre beyond which a text is unlike the training data.
    """

    mean: Array
    middle: Array
    scale: Array
    cap: float
    centres: Array
    sharpness: float
    heads: Array
    counters: Array
    far: float


class Nearness:
    """Weighs texts by their likeness to clusters.

    A view's column is (a * vector, counters, b, 1, square): with `a` and `b` its vector less the
    mean is of length 1, and `square` is that of its place. The product of `_towards` with it is
    then `-sharpness * squared distance` to each centre, in one go; a last row of zeros, where there
    is no distance, weighs what every text has.
    """

    def __init__(self, clusters: Clusters, always: Array) -> None:
        """Work `clusters` into one (K + 1, D + C + 3) array, and what is `always` added, (H,)."""
        self._clusters = clusters
        self._drift = float(clusters.mean @ clusters.mean)
        self._at = len(clusters.mean)
        self._end = self._at + len(COUNTERS)
        centres = clusters.centres
        towards = np.zeros((len(centres) + 1, self._end + 3))
        towards[:-1, : self._end] = 2.0 * centres
        towards[:-1, self._end] = -2.0 * (centres[:, : self._at] @ clusters.mean)
        towards[:-1, self._end + 1] = -(centres**2).sum(1)
        towards[:-1, self._end + 2] = -1.0
        with np.errstate(over="ignore"):  # nobody has looked yet whether it is within bounds
            self._towards = towards * clusters.sharpness
        self._heads = np.vstack([clusters.heads, always]).T.copy()
        self._counted = clusters.counters.T.copy() if clusters.counters.any() else None
        # As many columns as views: arrays of one shape take a third of the time.
        self._scaling = [
            [
                np.repeat(np.broadcast_to(each, len(COUNTERS))[:, None], views, 1)
                for each in (clusters.middle, clusters.scale, -clusters.cap, clusters.cap)
            ]
            for views in range(MOST_VIEWS + 1)
        ]

    def room(self, views: int) -> tuple[Array, Array]:
        """Return columns for the views of a text, and the part of them where counters are put."""
        columns = np.empty((self._end + 3, views))
        return columns, columns[self._at : self._end]

    def weigh(self, columns: Array, marks: Array, vectors: Floats) -> tuple[Array, float]:
        """Return (H, views) weights and the first view's squared distance to its nearest centre.
        `columns` and `marks` are from `room`, the counters put in; `vectors` are (D, views)."""
        middle, scale, least, most = self._scaling[len(vectors.T)]
        marks -= middle
        marks *= scale
        np.minimum(marks, most, out=marks)
        np.maximum(marks, least, out=marks)
        exact = vectors.astype(np.float64)
        squares = _ONES[: self._at].dot(exact * exact).tolist()
        along = self._clusters.mean.dot(exact).tolist()
        counted = _ONES[: len(COUNTERS)].dot(marks * marks).tolist()
        factors = np.array(self._factors(squares, along, counted))
        np.multiply(exact, factors[0], columns[: self._at])
        columns[self._end :] = factors[1:]
        near = self._towards.dot(columns)
        nearest = float(np.maximum.reduce(near[:-1, 0])) / -self._clusters.sharpness
        weights: Array = self._heads.dot(np.exp(near, near))
        if self._counted is not None:
            weights += self._counted.dot(marks)
        return weights, nearest

    def _factors(
        self, squares: Sequence[float], along: Sequence[float], counted: Sequence[float]
    ) -> tuple[Sequence[float], ...]:
        """Return, for each view, what its vector is multiplied by, what the mean is, 1, and the
        square of its place: of its vector's square, that one's product with the mean, and its
        counters' square."""
        vectors, means, places = [], [], []
        for square, dot, counters in zip(squares, along, counted, strict=True):
            scale = 1.0 / sqrt(square) if square else 0.0
            left = (1.0 if square else 0.0) - 2.0 * scale * dot + self._drift
            unit = 1.0 / sqrt(left) if left > _NOTHING else 0.0
            vectors.append(scale * unit)
            means.append(unit)
            places.append(counters + 1.0 if unit else counters)
        return vectors, means, [1.0] * len(places), places
