"""A candidate on trial: it scores the same traffic, and whatever it does, nothing comes of it."""

from __future__ import annotations

import logging

from gateway.core.difficulty import Difficulty
from gateway.core.ports import Scorer
from gateway.core.signals import Signals

_log = logging.getLogger("waterfall")


class Shadow:
    """Keeps a candidate's failures from the request."""

    def __init__(self, scorer: Scorer) -> None:
        """`scorer` is the candidate."""
        self._scorer = scorer
        self._told = False

    @property
    def label(self) -> str:
        """The candidate's `name@version`."""
        return self._scorer.label

    def score(self, signals: Signals) -> Difficulty | None:
        """Score one request; None where the candidate raises, which is logged once."""
        try:
            return self._scorer.score(signals)
        except Exception:  # noqa: BLE001 (the request knows nothing of a candidate)
            if not self._told:
                self._told = True
                _log.exception("The candidate %s failed; further times are counted.", self.label)
            return None
