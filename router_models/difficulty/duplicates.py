"""Which questions are one question in two wordings, so that none is learnt from and judged on."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.core.signals import Signals
from gateway.scorers.features import read
from gateway.scorers.static import static

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""N texts to (N, D) rows of length 1."""
Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]

SHINGLE: Final = 10
"""Two questions that share this many words in a row are near-duplicates ..."""
TEMPLATE: Final = 8
"""... unless more rows than this share them: then they are the wording of a task."""
MOST_HOLDERS: Final = 100
"""A fold is stricter: up to a twentieth of the rows, and never more than this, may share words in a
row and still be called near-duplicates. Beyond it they are a task's wording ("Statement 1 ..."):
dropping all that hold it would leave such a task nothing to be learnt from."""
COSINE: Final = 0.95
"""Two questions whose static vectors are as near as this are near-duplicates too."""
COMMON: Final = 1e-3
"""Words that make up more of the texts than this say little of what a text is."""

_WORD: Final = re.compile(r"\w+")
_BLOCK: Final = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Nearness:
    """Which of N rows are near-duplicates. `holders` and `shingles` are two columns, (S,) each: a
    row, and a number of a shingle that it holds; `pairs` is (P, 2), rows that lie close."""

    size: int
    holders: Integers
    shingles: Integers
    pairs: Integers

    def near(self, rows: Sequence[int] | Integers) -> Mask:
        """Return an (N,) mask of what is a near-duplicate of any of `rows`, they included."""
        given = np.zeros(self.size, dtype=bool)
        given[rows] = True
        found = given.copy()
        if len(self.shingles):
            held = np.zeros(int(self.shingles.max()) + 1, dtype=bool)
            held[self.shingles[given[self.holders]]] = True
            found[self.holders[held[self.shingles]]] = True
        for here, there in ((0, 1), (1, 0)):
            found[self.pairs[given[self.pairs[:, here]], there]] = True
        return found


def nearness(texts: Sequence[str], embed: Embed | None = None) -> Nearness:
    """Compare all texts by their shingles and, with `embed`, by their vectors' cosine."""
    most = min(MOST_HOLDERS, max(TEMPLATE, len(texts) // 20))
    holders, shingles = _shared_shingles(texts, most)
    pairs = close_pairs(embed(texts)) if embed else np.empty((0, 2), np.int64)
    return Nearness(len(texts), holders, shingles, pairs)


def static_vectors(texts: Sequence[str], *, plain: bool = False) -> NDArray[np.float32]:
    """Return (N, D) static vectors of length 1 (0 for a text without known words).

    A text's vector is the sum of its words', of its head and tail, each weighted by a / (a + p), p
    being how often it comes in all of these texts (Arora et al. 2017): a task's wording, which all
    its questions share, says little of whether two of them are one. `plain`: without weights.
    """
    table = static()
    words = [read(Signals(text=text)).words for text in texts]
    counts = Counter(word for each in words for word in each)
    rare = COMMON * max(counts.total(), 1)
    vectors = np.zeros((len(texts), table.vectors.shape[1]))
    for row, each in zip(vectors, words, strict=True):
        weights = [1.0 if plain else rare / (rare + counts[word]) for word in each]
        row[:] = np.array(weights) @ table.embed(each)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def near_duplicates(texts: Sequence[str]) -> list[int]:
    """Number the texts so that near-duplicates share a number.

    Near-duplicates have the same words, or share SHINGLE words in a row that at most TEMPLATE
    texts share.
    """
    same: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, text in enumerate(texts):
        same[tuple(_WORD.findall(text.casefold()))].append(i)
    holders, shingles = _shared_shingles(texts, TEMPLATE)
    starts = np.flatnonzero(np.diff(shingles)) + 1
    linked = [group.tolist() for group in np.split(holders, starts)] if len(holders) else []
    return _components(len(texts), [*same.values(), *linked])


def close_pairs(vectors: NDArray[np.float32]) -> Integers:
    """Return (P, 2) rows i < j whose cosine reaches COSINE; `vectors` are of length 1, or 0."""
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(vectors), _BLOCK):
        near = np.argwhere(vectors[start : start + _BLOCK] @ vectors[start:].T >= COSINE) + start
        found.append(near[near[:, 0] < near[:, 1]])
    return np.concatenate(found)


def normal(text: str) -> str:
    """Return the text in lower case and single spaces: layout makes no two questions of one."""
    return " ".join(text.casefold().split())


def questions(texts: Iterable[str]) -> Integers:
    """Number the texts so that the same question, whatever its layout, has one number."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(normal(text), len(numbers)) for text in texts], np.int64)


def _shared_shingles(texts: Sequence[str], most: int) -> tuple[Integers, Integers]:
    """Rows and numbers of the shingles that 2 to `most` rows hold, in the order of the numbers."""
    rows, hashes = _shingles(texts)
    order = np.lexsort((rows, hashes))
    rows, hashes = rows[order], hashes[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    rows, hashes = rows[first], hashes[first]
    _, numbers, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    kept = (counts[numbers] > 1) & (counts[numbers] <= most)
    return rows[kept], numbers[kept].astype(np.int64)


def _shingles(texts: Sequence[str]) -> tuple[Integers, NDArray[np.uint64]]:
    """Each shingle's row and hash: a sum of its words' random values, weighted by their place."""
    numbers: dict[str, int] = {}
    words = [
        [numbers.setdefault(word, len(numbers)) for word in _WORD.findall(text.casefold())]
        for text in texts
    ]
    sizes = np.array([len(each) for each in words], np.int64)
    random = np.random.default_rng(SHINGLE)
    values = random.integers(0, 2**63, max(len(numbers), 1), np.uint64) * np.uint64(2) + np.uint64(
        1
    )
    flat = values[np.fromiter((n for each in words for n in each), np.int64, int(sizes.sum()))]
    rows = np.repeat(np.arange(len(texts)), sizes)
    places = max(len(flat) - SHINGLE + 1, 0)
    hashes = np.zeros(places, np.uint64)
    for k, factor in enumerate(random.integers(0, 2**63, SHINGLE, np.uint64)):
        hashes += flat[k : k + places] * (factor * np.uint64(2) + np.uint64(1))
    whole = rows[:places] == rows[len(rows) - places :]
    return rows[:places][whole], hashes[whole]


def _components(size: int, groups: Iterable[Sequence[int]]) -> list[int]:
    parent = list(range(size))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for group in groups:
        for i in group[1:]:
            first, second = sorted((root(group[0]), root(i)))
            parent[second] = first
    return [root(i) for i in range(size)]
