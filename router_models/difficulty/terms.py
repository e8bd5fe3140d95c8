"""Which words and pairs of words a model has weights for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from itertools import pairwise

from gateway.scorers.features import stranger
from router_models.difficulty.data import DataError
from router_models.difficulty.table import Table


def vocabulary(table: Table, least: int, most: int) -> tuple[frozenset[bytes], dict[str, int]]:
    """The words that enough different questions hold, and a row for each of them and for each of
    the commonest other terms."""
    held = ({w.decode("latin-1") for w in reading.words} for reading in table.readings)
    words = _common(held, table.groups, least)[:most]
    known = frozenset(word.encode("latin-1") for word in words)
    terms = (set(names_of(reading.words, known)) for reading in table.readings)
    listed = set(words)
    others = [term for term in _common(terms, table.groups, least) if term not in listed]
    chosen = {*listed, *others[: most - len(words)]}
    if not chosen:
        raise DataError(f"No word is in {least} questions: too few to learn from.")
    return known, {term: row for row, term in enumerate(sorted(chosen))}


def _common(held: Iterable[set[str]], groups: Sequence[int], least: int) -> list[str]:
    by_question: dict[int, set[str]] = {}
    for each, group in zip(held, groups, strict=True):
        by_question.setdefault(group, set()).update(each)
    counts = Counter(term for each in by_question.values() for term in each)
    kept = [term for term, count in counts.items() if count >= least]
    return sorted(kept, key=lambda term: (-counts[term], term))


def names_of(words: Sequence[bytes], known: Container[bytes]) -> list[str]:
    """Words, strangers as their length, and pairs of neighbours; one character for each byte:
    scikit-learn wants text."""
    single = [w if w in known or w[:1] == b"#" else stranger(w) for w in words]
    pairs = [first + b" " + second for first, second in pairwise(single)]
    return [term.decode("latin-1") for term in (*single, *pairs)]
