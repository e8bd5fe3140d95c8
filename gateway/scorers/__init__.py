"""From a request's signals to its difficulty: learnt from outcomes, by rules, or by asking."""

from __future__ import annotations

from pathlib import Path

from gateway.core.ports import Scorer
from gateway.scorers.artefact import ArtefactError, efficiency, read_artefact
from gateway.scorers.embedding import Embedder, RemoteScorer, read_heads
from gateway.scorers.function import FunctionError, FunctionScorer
from gateway.scorers.guard import Guarded
from gateway.scorers.heuristic import RulesScorer
from gateway.scorers.llm import LlmScorer
from gateway.scorers.shadow import Shadow
from gateway.scorers.shelf import resolve

__all__ = [
    "ArtefactError",
    "Embedder",
    "FunctionError",
    "FunctionScorer",
    "Guarded",
    "LlmScorer",
    "RemoteScorer",
    "Shadow",
    "efficiency",
    "load",
    "read_heads",
    "resolve",
    "rules",
]


def load(folder: Path) -> Scorer:
    """Return the scorer kept in a folder, or the one in force on a shelf; raises ArtefactError
    when it is not to be trusted."""
    return read_artefact(resolve(folder))


def rules() -> Scorer:
    """Return the scorer that needs no artefact, `rules@1`."""
    return RulesScorer()
