"""A scorer that knows no data: marks of a demanding request, added up by hand."""

from __future__ import annotations

from typing import Final

from gateway.core.difficulty import Difficulty
from gateway.core.signals import Signals
from gateway.scorers.features import COUNTERS, read_whole, slow_counters

_FULL: Final = {
    # counter: (what it can add, the logarithm of one more than the count that adds it all)
    "chars": (0.15, 7.0),
    "reasoning": (0.2, 1.4),
    "code_words": (0.1, 1.4),
    "code_marks": (0.1, 2.4),
    "latex": (0.1, 2.4),
    "long_numbers": (0.1, 1.4),
    "condition": (0.05, 1.4),
    "tools": (0.1, 1.8),
    "wants_json": (0.05, 0.7),
    "turns": (0.05, 2.4),
}
_STRETCH: Final = 2.2
"""No request has every mark: with this a threshold of .8 sends up the most demanding tenth or so
of common benchmark questions."""
_PLACE: Final = {name: place for place, name in enumerate(COUNTERS)}


class RulesScorer:
    """Adds up what each mark may add; fits `gateway.core.ports.Scorer`.

    The value is a rough order of requests, not a rank and not a probability: a thousand
    characters, three reasoning words, code, formulae, long numbers, tools and turns each add their
    share, in proportion to the logarithm of their count.
    """

    label = "rules@1"

    def score(self, signals: Signals) -> Difficulty:
        """Score one request; `gain` is None and `p_good` empty, for nothing was learnt."""
        counters = slow_counters(read_whole(signals))[0]
        value = sum(
            most * min(counters[_PLACE[name]] / full, 1.0) for name, (most, full) in _FULL.items()
        )
        return Difficulty(float(min(_STRETCH * value, 1.0)), scorer=self.label)
