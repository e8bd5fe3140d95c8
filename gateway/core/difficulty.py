"""How hard a request is, in the one sense that matters here: would a stronger tier help?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.core.quick import changer, maker, quick


@quick
@dataclass(frozen=True, slots=True)
class Difficulty:
    """`value` is the rank, 0..1, of `score` among reference traffic. `score` is what is ranked: the
    gain of a scorer that estimates one, any rising measure of another (None: `value` itself).

    `gain` is P(a stronger tier good) - P(first tier good), unclipped; `p_good` holds one
    probability per head of the scorer, cheap to strong, and is empty when it estimates none.
    `scorer` is its `name@version`. `profile` has one character for each feature that is watched
    for drift: the tenth, 0 to 9, of the training data's values that this request falls into.
    `unlike` says whether the prompt is unlike all that the scorer learnt from, `met` whether it is
    one that it learnt from; None when unknown.
    """

    value: float
    gain: float | None = None
    p_good: tuple[float, ...] = ()
    scorer: str = "none"
    score: float | None = None
    profile: str = ""
    unlike: bool | None = None
    met: bool | None = None

    @property
    def ranked(self) -> float:
        """What `value` is the rank of."""
        return self.value if self.score is None else self.score

    def good_at(self, index: int) -> float | None:
        """P(the tier at `index` of the route is good); tiers past the last head share it."""
        if not self.p_good:
            return None
        return self.p_good[min(index, len(self.p_good) - 1)]


new_difficulty = maker(Difficulty)
change_difficulty = changer(Difficulty)
UNSCORED = Difficulty(0.0)
"""What stands in where a plan hangs on no difficulty, and so none was measured."""


def fallen_back(base: Difficulty) -> Difficulty:
    """Return the word of a base whose scorer could not give its own, marked as such."""
    return replace(base, scorer=f"{base.scorer}+fallback")


def are_thresholds(values: Sequence[float]) -> bool:
    """Is this at least one threshold, each from 0 to 1, and none under the one before?"""
    inside = all(0 <= value <= 1 for value in values)
    return bool(values) and inside and list(values) == sorted(values)


def start_index(value: float, thresholds: Sequence[float]) -> int:
    """Return the index of the tier a request starts at: one up for each threshold it reaches.

    `thresholds` do not fall. A threshold of 0 sends everything up, 1 nothing.
    """
    index = 0
    for threshold in thresholds:
        if value >= threshold and threshold < 1.0:
            index += 1
    return index
