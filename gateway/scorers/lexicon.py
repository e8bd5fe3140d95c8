"""The words and pairs of words that a scorer knows, and what each of them adds to its sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.scorers.features import (
    LONGEST,
    TRAITS,
    WORDS,
    Array,
    Reading,
    shape,
    stranger,
    traits_of,
)
from gateway.scorers.marks import APART, LAPPED, VIEWS
from gateway.scorers.static import Static, Whole

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
STANDING: Final = (
    *(b"~%d" % size for size in range(8)), *(b"#%d" % digits for digits in range(7)),
)  # fmt: skip
"""What stands in the first rows: strangers by their length, and numbers by their shapes. No word of
a text holds such a mark."""

_PARTS: Final = 2.0**24
_APART, _LAPPED = APART.T.copy(), LAPPED.T.copy()


class _Rows(dict[bytes, int]):
    """Word to row; a number has the row of its shape, a word that is not there a stranger's."""

    __slots__ = ("_strangers",)

    def __init__(self, names: Sequence[bytes]) -> None:
        super().__init__((name, row) for row, name in enumerate(names))
        self.update((name, self[shape(name)]) for name in names if name.isdigit())
        self._strangers = [self[stranger(bytes(size))] for size in range(LONGEST + 1)]

    def __missing__(self, word: bytes) -> int:
        if word.isdigit():
            return self[shape(word)]
        size = len(word)
        return self._strangers[size if size < LONGEST else LONGEST]  # noqa: FURB136 (hot: no call)


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """W rows of words, N terms, P pairs of them, T columns of term weights.

    `traits` is (W, 1 + TRAITS + dimensions): 1, a word's traits and its static vector, all of them
    whole numbers, so that a text's sums are exact. `terms`, (W,), is the term that a word stands
    as: its own, or that of a stranger of its length. `words`, (W, T + 1), has that term's weights,
    and the product of the word's vector with the clusters' mean.

    A pair is `first * many + second`, with N in `many`, an array of one. `keys`, rising, are the
    pairs that somebody knows and what is one less than each: where a pair would stand among them
    says whether it is one, and is its row of `pairs`, (keys + 1, T + 1), which is 0 where it is
    not.
    """

    rows: Mapping[bytes, int]
    traits: Whole
    terms: Ids
    words: Array
    keys: Ids
    pairs: Array
    many: Ids

    def sums(self, reading: Reading) -> tuple[Floats, list[list[float]]]:
        """Add up each view of a text: (VIEWS, 1 + TRAITS + dimensions), and (VIEWS, T + 1).
        A pair is in the views that hold both its words."""
        words, spans = reading.cut, reading.spans
        size, views = len(words), len(spans)
        if not size:
            sums = np.zeros((VIEWS, self.traits.shape[1]), np.float32)
            return sums, np.zeros((VIEWS, self.words.shape[1])).tolist()
        ids = np.fromiter(map(self.rows.__getitem__, words), np.int64, size)
        start, stop = (spans[1][0], spans[2][1]) if views > 1 else (0, size)
        if views == 3:
            held = _LAPPED.repeat((stop, start - stop, size - start), 0)
        else:
            held = _APART.repeat((start, stop - start, size - stop), 0)
        # As products: many times quicker than reduceat. 32 bits are enough for whole numbers. (The
        # method has half the operator's overhead, here and elsewhere.)
        traits = held.T.dot(self.traits.take(ids, 0).astype(np.float32))
        weights, pairs = self.words.take(ids, 0), self._pairs_of(self.terms.take(ids))
        first = weights[:-1]
        first += pairs
        terms: list[list[float]] = held.astype(np.float64).T.dot(weights).tolist()
        if views > 1 and 0 < stop < size:
            # The pair of the last word before `stop` is with one that is not in these views.
            across: list[float] = pairs[stop - 1].tolist()
            if any(across):
                for view in terms[2 : 4 if start < stop else 3]:
                    for column, weight in enumerate(across):
                        view[column] -= weight
        return traits, terms

    def _pairs_of(self, ids: Ids) -> Array:
        pairs = ids[:-1] * self.many
        pairs += ids[1:]
        return self.pairs.take(self.keys.searchsorted(pairs), 0)


def lexicon(static: Static, terms: Sequence[bytes], weights: Array, mean: Array) -> Lexicon:
    """Build a lexicon of every word that has a static vector, a weight, or a place in a list.

    `terms` are N different words, and pairs as two words with a space between; `weights` is (N, T),
    `mean` that of Clusters.
    Raises ValueError for a term that is neither.
    """
    split = [term.split(b" ") for term in terms]
    if len(set(terms)) < len(terms) or not all(all(parts) and len(parts) < 3 for parts in split):
        raise ValueError("terms are different words, or pairs of words with one space between")
    ours = dict.fromkeys(word for parts in split for word in parts)
    listed = sorted({held for each in WORDS.values() for held in each})
    names = list(dict.fromkeys([*STANDING, *static.places, *listed, *ours]))
    traits = np.ones((len(names), 1 + len(TRAITS) + static.vectors.shape[1]), np.int8)
    traits[:, 1 : 1 + len(TRAITS)] = [traits_of(name) for name in names]
    traits[:, 1 + len(TRAITS) :] = static.embed(names)
    places = {name: place for place, name in enumerate(dict.fromkeys([*STANDING, *ours]))}
    own = [places.get(name, -1) for name in names]
    as_terms = [
        place if place >= 0 else places[stranger(name)]
        for place, name in zip(own, names, strict=True)
    ]
    by_term = np.zeros((len(places), weights.shape[1]))
    alone = [place for place, parts in enumerate(split) if len(parts) == 1]
    by_term[[places[terms[place]] for place in alone]] = weights[alone]
    # Whole parts of a number, so that their sums are exact: alike in whatever order they are added.
    along = np.round((traits[:, 1 + len(TRAITS) :] @ mean) * _PARTS) / _PARTS
    words = np.hstack((by_term[as_terms], along[:, None]))
    both = [place for place, parts in enumerate(split) if len(parts) == 2]
    known = np.array([places[split[p][0]] * len(places) + places[split[p][1]] for p in both], int)
    keys = np.union1d(known, known - 1)
    pairs = np.zeros((len(keys) + 1, words.shape[1]))
    pairs[keys.searchsorted(known), :-1] = weights[both]
    many = np.array([len(places)])
    return Lexicon(_Rows(names), traits, np.array(as_terms, np.int64), words, keys, pairs, many)
