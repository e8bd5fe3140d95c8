"""What an attacker can do to a scorer, and what it cannot: the bound is over all that is found."""

from __future__ import annotations

import random

import numpy as np
import pytest

from gateway.scorers import load
from loadtests import attack, made_up

SIZES = (1, 7, 19, 20)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    return load(made_up.artefact(folder, made_up.rows(500, 1)))


@pytest.fixture(scope="module")
def prompts():
    draw = random.Random(5)
    made = made_up.others(24, 5) + made_up.questions(24, 5)
    return [" ".join([text] * draw.randint(1, 6)) for text in made]


@pytest.mark.parametrize("place", attack.PLACES)
@pytest.mark.parametrize("size", SIZES)
def test_no_words_raise_a_prompt_over_what_its_clean_readings_allow(scorer, prompts, place, size):
    draw = random.Random(size)
    pool = attack.candidates(scorer, 30, draw)
    for prompt in prompts:
        most = attack.reach(scorer, prompt, place, size)
        words = " ".join(draw.choices(pool, k=size))
        attacked = attack.PLACES[place](words, prompt)
        assert attack.difficulties(scorer, [attacked])[0] <= most + 1e-9


def test_a_short_prompt_with_few_words_added_has_no_clean_reading(scorer):
    assert attack.reach(scorer, "Tell me about bread.", "prefix", 5) == 1.0
    assert attack.reach(scorer, "Tell me about bread.", "prefix", 20) < 1.0


def test_the_search_finds_words_that_weigh_more_than_any(scorer):
    short = [f"Tell me about {word}." for word in ("bread", "a garden", "the river")]
    words, spent = attack.search(
        scorer, short, attack.PLACES["prefix"], 0.8, random.Random(0), 1, 8, 6
    )
    asked = [attack.PLACES["prefix"](words, prompt) for prompt in short]
    assert spent > 6 * len(short)
    assert (
        attack.difficulties(scorer, asked).mean() > attack.difficulties(scorer, short).mean() + 0.1
    )
    assert np.isfinite(attack.difficulties(scorer, asked)).all()
