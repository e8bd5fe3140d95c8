"""The shipped pair against the questions as they are now: no changed wording passes unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.recipe_file import load_recipe
from router_models.demo_pair import evaluate

CARD = evaluate.ARTEFACTS / "card.md"


def test_the_weights_are_small_enough_to_ship():
    files = sorted(evaluate.ARTEFACTS.glob("*.gguf"))
    assert [file.name for file in files] == ["large.gguf", "small.gguf"]
    assert sum(file.stat().st_size for file in files) <= 6_000_000


def test_the_two_recipes_differ_in_what_they_ask():
    plain, steps = (load_recipe(evaluate.RECIPES / f"{n}.yaml") for n in ("plain", "steps"))
    assert plain.before != steps.before
    assert plain.label != steps.label
    assert steps.params == {"temperature": 0}


async def test_the_pair_makes_a_cascade_that_pays():
    pytest.importorskip("xllamacpp")
    found = await evaluate.measure(Path(evaluate.ARTEFACTS), n=400, seed=3)
    large, steps, plain = (found[name] for name in ("large", "small steps", "small plain"))
    cascade = found["cascade steps"]
    # Wider than the figures of the card, for 400 questions are few.
    assert large["accuracy"] >= 0.9
    assert steps["easy"] >= 0.95
    assert large["accuracy"] - steps["accuracy"] >= 0.12
    assert steps["accuracy"] - plain["accuracy"] >= 0.06
    assert steps["auroc_lowest"] >= 0.9
    assert cascade["accuracy"] >= large["accuracy"] - 0.03
    assert cascade["cost_ratio"] <= 0.7


def test_the_card_names_what_a_card_must():
    card = CARD.read_text()
    for word in ("Apache-2.0", "Licence", "Data", "Retraining", "Trained on", "Figures"):
        assert word in card
