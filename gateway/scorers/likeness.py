"""How alike are two short texts, by the static vectors that ship with the gateway?"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from gateway.scorers.features import Array
from gateway.scorers.static import static

_WORD: Final = re.compile(rb"\w+")
_MOST_WORDS: Final = 60


def alike(one: str, other: str) -> float | None:
    """Return the cosine of two texts' mean word vectors, at least 0; None where one has none.

    A word without a vector counts as one that is like no other, so that names nobody has met are
    not left out of the comparison. Fits `gateway.checks.answers.Alike`.
    """
    left, right = _words(one), _words(other)
    if not left or not right:
        return None
    strangers = {word: place for place, word in enumerate(sorted(left | right))}
    sums = [_sum(sorted(words), strangers) for words in (left, right)]
    lengths = [float(np.sqrt(each @ each)) for each in sums]
    return float(np.clip(sums[0] @ sums[1] / (lengths[0] * lengths[1]), 0.0, 1.0))


def _words(text: str) -> set[bytes]:
    return set(_WORD.findall(text.lower().encode()[:20_000])[:_MOST_WORDS])


def _sum(words: list[bytes], places: dict[bytes, int]) -> Array:
    """Add up unit vectors: a word's own, or for a stranger an axis of its own."""
    vectors = static().embed(words).astype(np.float64)
    lengths = np.sqrt((vectors**2).sum(axis=1))
    known = lengths > 0
    axes = np.zeros(len(places))
    axes[[places[word] for word, met in zip(words, known, strict=True) if not met]] = 1.0
    return np.concatenate([(vectors[known] / lengths[known, None]).sum(axis=0), axes])
