"""Marks a difficulty with whether its scorer was trained on the very question, for the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

from gateway.core.difficulty import Difficulty
from gateway.core.ports import Scorer
from gateway.core.signals import Signals


@runtime_checkable
class Trained(Protocol):
    """A scorer that can tell what it was trained on."""

    def has_met(self, text: str) -> bool | None:
        """Was it trained on this question? None where that would take too long to tell."""
        ...


def marked(scorer: Scorer, signals: Signals) -> Difficulty:
    """Score one request. Its score hangs on nothing of this: it is for whoever reads the record."""
    said = scorer.score(signals)
    return replace(said, met=scorer.has_met(signals.text)) if isinstance(scorer, Trained) else said
