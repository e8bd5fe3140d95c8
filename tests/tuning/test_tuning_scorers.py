"""What tuning relies on in a scorer: its reference ranks the very score that it gives."""

from __future__ import annotations

import pytest

from gateway import scorers
from gateway.app import ARTEFACTS
from gateway.core.chat import ChatRequest
from gateway.core.signals import measure
from gateway.tuning.fit import value_of
from gateway.tuning.state import yardstick

ASKED = ("Say hello.", "Prove step by step why the integral diverges. " * 20, "2 + 2?", "def f(x):")


@pytest.mark.parametrize(
    "scorer", [scorers.rules(), scorers.load(ARTEFACTS / "default")], ids=lambda each: each.label
)
@pytest.mark.parametrize("text", ASKED)
def test_a_score_ranks_to_its_value(scorer, text):
    signals = measure(ChatRequest({"messages": [{"role": "user", "content": text}]}))
    told = scorer.score(signals)
    known = yardstick(scorer)
    assert told.scorer == known.scorer
    # Within half a step: a reference's ends make room for what lies beyond them.
    assert value_of(told.ranked, known.reference) == pytest.approx(told.value, abs=0.002)
    assert len(told.profile) in {0, len(known.watched)}
    assert all(len(shares) == 10 for shares in known.watched.values())
