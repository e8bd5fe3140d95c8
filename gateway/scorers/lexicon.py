"""The words and pairs of words that a scorer knows, and what each of them adds to its sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.scorers.features import LONGEST, TRAITS, WORDS, Array, Reading, stranger, traits_of
from gateway.scorers.static import Static

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
STANDING: Final = (
    *(b"~%d" % size for size in range(8)), *(b"#%d" % digits for digits in range(7)),
)  # fmt: skip
"""What stands in the first rows: strangers by their length, and numbers by their shapes. No word of
a text holds such a mark."""


class _Rows(dict[bytes, int]):
    """Word to row; a word that is not there has the row of a stranger."""

    __slots__ = ("_strangers",)

    def __init__(self, rows: Iterable[tuple[bytes, int]]) -> None:
        super().__init__(rows)
        self._strangers = [self[stranger(bytes(size))] for size in range(LONGEST + 1)]

    def __missing__(self, word: bytes) -> int:
        size = len(word)
        return self._strangers[size if size < LONGEST else LONGEST]  # noqa: FURB136 (hot: no call)


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """W rows of words, B pairs of them, T columns of term weights.

    `traits` is (W, TRAITS + dimensions): a word's traits, then its static vector, all of them whole
    numbers as 32-bit floats, so that a text's sums are exact. `terms`, (W,), is the row that a word
    has as a term: its own, or that of a stranger of its length. `words` is (W, T), `pairs`
    (B + 1, T) with a last row of 0 for pairs that nobody knows; `keys` are the pairs as
    `first * W + second`, rising.
    """

    rows: Mapping[bytes, int]
    traits: Floats
    terms: Ids
    words: Array
    keys: Ids
    pairs: Array

    def sums(self, reading: Reading) -> tuple[Array, Array]:
        """Add up each view of a text: (views, TRAITS + dimensions) and (views, T) of terms. A pair
        is in the views that hold both its words."""
        words, spans = reading.words, reading.spans
        if not words:
            shapes = ((len(spans), table.shape[1]) for table in (self.traits, self.words))
            return np.zeros(next(shapes)), np.zeros(next(shapes))
        ids = np.fromiter(map(self.rows.__getitem__, words), np.int64, len(words))
        held = np.zeros((len(spans), len(words)), np.float32)
        both = np.zeros((len(spans), len(words) - 1))
        for view, (start, stop) in enumerate(spans):
            held[view, start:stop] = 1.0
            both[view, start : max(stop - 1, start)] = 1.0
        # As products: many times quicker than reduceat, and as exact for whole numbers.
        traits = held @ self.traits.take(ids, 0)
        ids = self.terms.take(ids)
        terms: Array = held.astype(np.float64) @ self.words.take(ids, 0)
        terms += both @ self._pairs_of(ids)
        return traits.astype(np.float64), terms

    def _pairs_of(self, ids: Ids) -> Array:
        keys = ids[:-1] * len(self.traits)
        keys += ids[1:]
        places = self.keys.searchsorted(keys)
        known = self.keys.take(places, mode="clip") == keys
        return self.pairs.take(np.where(known, places, -1), 0)


def lexicon(static: Static, terms: Sequence[bytes], weights: Array) -> Lexicon:
    """Build a lexicon of every word that has a static vector, a weight, or a place in a list.

    `terms` are N different words, and pairs as two words with a space between; `weights` is (N, T).
    Raises ValueError for a term that is neither.
    """
    split = [term.split(b" ") for term in terms]
    if len(set(terms)) < len(terms) or not all(all(parts) and len(parts) < 3 for parts in split):
        raise ValueError("terms are different words, or pairs of words with one space between")
    ours = [word for parts in split for word in parts]
    listed = sorted({held for each in WORDS.values() for held in each})
    names = list(dict.fromkeys([*STANDING, *static.places, *listed, *ours]))
    rows = _Rows((name, row) for row, name in enumerate(names))
    traits = np.empty((len(names), len(TRAITS) + static.vectors.shape[1]), np.float32)
    traits[:, : len(TRAITS)] = [traits_of(name) for name in names]
    traits[:, len(TRAITS) :] = static.embed(names)
    words = np.zeros((len(names), weights.shape[1]))
    known = set(ours)
    as_terms = [
        rows[name if name in known or name[:1] in b"#~" else stranger(name)] for name in names
    ]
    alone = [place for place, parts in enumerate(split) if len(parts) == 1]
    words[[rows[terms[place]] for place in alone]] = weights[alone]
    both = [place for place, parts in enumerate(split) if len(parts) == 2]
    keys = np.array(
        [rows[split[p][0]] * len(names) + rows[split[p][1]] for p in both], dtype=np.int64
    )
    order = np.argsort(keys)
    pairs = np.vstack([weights[both][order], np.zeros((1, weights.shape[1]))])
    return Lexicon(rows, traits, np.array(as_terms, np.int64), words, keys[order], pairs)
