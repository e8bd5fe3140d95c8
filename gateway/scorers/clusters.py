"""Likeness to clusters of texts: all that does not hang on the text is reckoned at the start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.scorers.features import AS_COUNTED, COUNTERS, Array
from gateway.scorers.marks import VIEWS

_ONES: Final = np.ones(len(COUNTERS))
_LARGE: Final = 256.0
"""Sharpness times a squared distance: of the shipped artefacts no text can have more than 51."""
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

    A view's row is (a * vector, counters, b, 1, square): with `a` and `b` its vector less the
    mean is of length 1, and `square` is that of its place. Its product with `_towards` is then
    `-sharpness * squared distance` to each centre, in one go.
    """

    def __init__(self, clusters: Clusters) -> None:
        """Work `clusters` into one (D + C + 3, K) array, its counters in the order of COUNTED."""
        self._sharpness = clusters.sharpness
        self._drift = float(clusters.mean @ clusters.mean)
        at = len(clusters.mean)
        vectors, counters = clusters.centres[:, :at], clusters.centres[:, at:][:, AS_COUNTED]
        towards = np.vstack(
            [
                2.0 * vectors.T,
                2.0 * counters.T,
                -2.0 * (vectors @ clusters.mean),
                -(clusters.centres**2).sum(1),
                np.full(len(clusters.centres), -1.0),
            ]
        )
        self._kind = _kind(clusters)
        self._pack = Struct(f"{4 * VIEWS}{np.dtype(self._kind).char}").pack
        with np.errstate(over="ignore"):  # nobody has looked yet whether it is within bounds
            self._towards = (towards * clusters.sharpness).astype(self._kind)
            self._heads = clusters.heads.astype(self._kind)
        self._counted = clusters.counters[AS_COUNTED] if clusters.counters.any() else None
        # As many columns as views: arrays of one shape take a third of the time.
        self._scaling = [
            np.repeat(np.broadcast_to(each, len(COUNTERS))[AS_COUNTED, None], VIEWS, 1)
            for each in (clusters.middle, clusters.scale, -clusters.cap, clusters.cap)
        ]

    def weigh(
        self, marks: Array, vectors: NDArray[Any], along: Iterable[float]
    ) -> tuple[list[list[float]], float]:
        """Return (VIEWS, H) weights and the first view's squared distance to its nearest centre.
        `marks` are (COUNTED, VIEWS) counters, which are scaled in place; `vectors` (VIEWS, D),
        `along` their products with the mean."""
        middle, scale, least, most = self._scaling
        marks -= middle
        marks *= scale
        np.minimum(marks, most, out=marks)
        np.maximum(marks, least, out=marks)
        vectors = vectors.astype(self._kind, copy=False)
        factors = self._factors(
            np.vecdot(vectors, vectors).tolist(),
            along,
            _ONES.dot(marks * marks).tolist(),
        )
        parts = (vectors * factors[:, :1], marks.T, factors[:, 1:])
        near = np.concatenate(parts, 1, dtype=self._kind, casting="same_kind").dot(self._towards)
        whole = near[0]
        nearest = whole.item(whole.argmax()) / -self._sharpness
        weights = np.exp(near, near).dot(self._heads)
        if self._counted is not None:
            weights = weights + marks.T.dot(self._counted)
        return weights.tolist(), nearest

    def _factors(
        self, squares: Iterable[float], along: Iterable[float], counted: Iterable[float]
    ) -> NDArray[Any]:
        """Return (VIEWS, 4), what each view's vector is multiplied by, what the mean is, 1, and the
        square of its place: of its vector's square, that one's product with the mean, and its
        counters' square."""
        found: list[float] = []
        for square, mean, counters in zip(squares, along, counted):  # noqa: B905 (all of VIEWS)
            scale, left = 0.0, self._drift
            if square:
                scale = 1.0 / sqrt(square)
                left += 1.0 - 2.0 * scale * mean
            if left > _NOTHING:
                unit = 1.0 / sqrt(left)
                found += (scale * unit, unit, 1.0, counters + 1.0)
            else:
                found += (0.0, 0.0, 1.0, counters)
        return np.frombuffer(self._pack(*found), self._kind).reshape(VIEWS, 4)


def _kind(clusters: Clusters) -> type[np.floating[Any]]:
    """32 bits are half the work of 64, and enough where no exponent is large: they err by some
    1e-7 of it. Training stays far within that; another artefact is reckoned in 64."""
    longest = float((clusters.centres**2).sum(1).max(initial=0.0))
    reach = sqrt(longest) + sqrt(1.0 + len(COUNTERS) * clusters.cap * clusters.cap)
    return np.float32 if clusters.sharpness * reach * reach <= _LARGE else np.float64
