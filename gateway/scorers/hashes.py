"""A set of 64-bit hashes at eight bytes each, where Python's own takes nine times as many."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet


class Hashes(AbstractSet[int]):
    """Numbers of 64 bits; `in` is a search."""

    __slots__ = ("_sorted",)

    def __init__(self, hashes: Iterable[int] = ()) -> None:
        self._sorted = array("Q", sorted(set(hashes)))

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, int):
            return False
        place = bisect_left(self._sorted, item)
        return place < len(self._sorted) and self._sorted[place] == item

    def __iter__(self) -> Iterator[int]:
        return iter(self._sorted)

    def __len__(self) -> int:
        return len(self._sorted)
