"""What tuning relies on in a scorer: its reference ranks the very score that it gives."""

from __future__ import annotations

import pytest

from gateway import scorers
from gateway.core.chat import ChatRequest
from gateway.core.signals import measure
from gateway.scoring import ARTEFACTS
from gateway.tuning.fit import value_of
from gateway.tuning.state import yardstick

ASKED = ("Say hello.", "Prove step by step why the integral diverges. " * 20, "2 + 2?", "def f(x):")


@pytest.mark.parametrize(
    "open_it",
    [scorers.rules, lambda: scorers.load(ARTEFACTS / "default")],
    ids=["rules", "default"],
)
@pytest.mark.parametrize("text", ASKED)
def test_a_score_ranks_to_its_value(open_it, text):
    scorer = open_it()
    signals = measure(ChatRequest({"messages": [{"role": "user", "content": text}]}))
    told = scorer.score(signals)
    known = yardstick(scorer)
    assert told.scorer == known.scorer
    # Within half a step: a reference's ends make room for what lies beyond them.
    assert value_of(told.ranked, known.reference) == pytest.approx(told.value, abs=0.002)
    assert len(told.profile) in {0, len(known.watched)}
    assert all(len(shares) == 10 for shares in known.watched.values())


def test_a_function_s_gains_and_difficulties_are_ranked_together():
    """They have no reference: what is ranked is the value, whatever kind a function returns."""
    for said in (0.25, {"difficulty": 0.25}, {"gain": -0.5}, {"p_good": [0.9, 0.4]}):
        told = scorers.function.reading(said, "f@1")
        assert told.ranked == told.value == pytest.approx(0.25)


def test_a_scorer_that_waits_shows_what_ranks_its_scores():
    class Inner:
        label = "heads@1"
        reference = (0.0, 0.5, 1.0)

    assert yardstick(scorers.Guarded(Inner(), 1.0)).reference == (0.0, 0.5, 1.0)
    del Inner.reference
    assert yardstick(scorers.Guarded(Inner(), 1.0)).reference is None
