"""Marks a difficulty with whether its scorer was trained on the very question, for the ledger."""

from __future__ import annotations

from gateway.core.difficulty import Difficulty, change_difficulty
from gateway.core.ports import Scorer
from gateway.core.signals import Signals


def marked(scorer: Scorer, signals: Signals) -> Difficulty:
    """Score one request. Its score hangs on nothing of this: it is for whoever reads the record.

    A scorer that can tell whether it was trained on a question has a `has_met`, as LinearScorer's.
    """
    said = scorer.score(signals)
    has_met = getattr(scorer, "has_met", None)
    return change_difficulty(said, met=has_met(signals.text)) if has_met else said
