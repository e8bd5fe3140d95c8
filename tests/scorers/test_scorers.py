"""The scorers that ship: what they say is a rank and two chances, for any request at all."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import isfinite
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import router_models
from gateway.core.signals import Signals
from gateway.scorers import load, rules
from gateway.scorers.features import read, read_whole
from gateway.scorers.hashes import Hashes
from gateway.scorers.linear import LONGEST_MET, logistic

DEFAULT = Path(router_models.__file__).parent / "artefacts" / "default"
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=3000)
EASY = (
    "What is the capital of France?",
    "What is 2+2?",
    "Write a haiku about the sea.",
    "Who was the first president of the United States?",
)
HARD = (
    """A train leaves at 3 pm at 60 km/h and another leaves two hours later at 90 km/h. When does
    the second overtake the first, and how far from the station?""",
    """Maria saves twice as much each week as the week before. She starts with $5 and spends 20%
    of her total after week four. How much does she have left?""",
    "Write a Python function that merges two sorted lists and analyse its complexity.",
    """Explain the difference between expected utility theory and prospect theory, and evaluate
    each with an example.""",
)


@pytest.fixture(scope="module")
def default():
    return load(DEFAULT)


@pytest.fixture(scope="module", params=["default", "rules"])
def scorer(request, default):
    return default if request.param == "default" else rules()


def signals(text: str, **context) -> Signals:
    return Signals(text=text, prompt_chars=len(text), turns=1, **context)


def test_the_shipped_scorer_says_who_it_is_and_what_it_thinks(default):
    difficulty = default.score(signals(HARD[1]))
    small, large = difficulty.p_good
    assert default.label == difficulty.scorer == "default@3"
    assert 0 < small < 1
    assert 0 < large < 1
    assert difficulty.gain == large - small


def test_it_says_how_like_its_training_a_prompt_is(default):
    common = default.score(signals(HARD[0]))
    strange = default.score(signals("\N{GRINNING FACE} " * 200))
    assert (common.unlike, strange.unlike) == (False, True)
    assert len(common.profile) == len(default.watched) == len(strange.profile)
    assert common.profile.isdigit()
    assert common.profile != strange.profile
    assert common.score == common.gain
    for shares in default.watched.values():
        assert sum(shares) == pytest.approx(1, abs=1e-4)


@given(st.sets(st.integers(0, 2**64 - 1)), st.integers(0, 2**64 - 1))
def test_hashes_are_a_set(numbers, other):
    held = Hashes(numbers)
    assert held == numbers
    assert len(held) == len(numbers)
    assert all(number in held for number in numbers)
    assert (other in held) == (other in numbers)
    assert "7" not in held
    assert frozenset().union(held) == numbers


def test_it_says_whether_it_was_trained_on_a_question(tmp_path):
    from sample_outcomes import quick_artefact, sums

    scorer = load(quick_artefact(tmp_path / "scorer", "sums@1"))
    question = sums(1)[0]["prompt"]
    met = scorer.score(signals(question.upper()))
    assert met.met is True
    assert scorer.score(signals(f"{question} Why?")).met is False
    assert scorer.score(signals(question + " " * LONGEST_MET)).met is None
    assert rules().score(signals(question)).met is None
    scorer.seen = Hashes()
    assert scorer.score(signals(question.upper())) == replace(met, met=False)


ATTACK = st.lists(
    st.sampled_from("prove theorem false wrong (((( ``` 123456 \\\\frac ??? integral".split()),
    min_size=20,
    max_size=20,
).map(" ".join)


@given(ATTACK, st.sampled_from([*EASY, *HARD]), st.booleans())
def test_twenty_words_before_or_after_add_nothing_to_the_gain(default, words, prompt, first):
    """The prompt as it stands is one of the views of the attacked one."""
    small, large = default.chances(read_whole(signals(prompt)))
    attacked = default.score(signals(f"{words} {prompt}" if first else f"{prompt} {words}"))
    assert attacked.gain <= large - small + 1e-9


def test_rules_estimate_no_chance():
    difficulty = rules().score(signals(HARD[0]))
    assert (difficulty.scorer, difficulty.gain, difficulty.p_good) == ("rules@1", None, ())
    assert rules().label == "rules@1"


def test_obvious_pairs_are_in_order(default):
    """By rules each of them; by what was learnt of benchmarks, which these are not, on average."""
    easy, hard = ([rules().score(signals(text)).value for text in texts] for texts in (EASY, HARD))
    assert max(easy) < min(hard)
    easy, hard = ([default.score(signals(text)).value for text in texts] for texts in (EASY, HARD))
    assert sum(easy) < sum(hard)


def test_rules_count_context_and_stay_within_one():
    plain, tools = (rules().score(signals(HARD[0], tools=n)) for n in (0, 3))
    assert plain.value < tools.value < 1
    text = "Explain why, step by step: `def f(x): return {x: 1234}`; if $\\frac{a}{b}$ " * 40
    assert rules().score(signals(text, tools=30, wants_json=True)).value == 1


def test_values_rise_with_gain(default):
    scored = [default.score(signals(text)) for text in (*EASY, *HARD, "", "Why?", "7 * 8 = ?")]
    ordered = sorted(scored, key=lambda difficulty: difficulty.gain)
    values = [difficulty.value for difficulty in ordered]
    assert values == sorted(values)
    assert len(set(values)) > 3


def test_a_document_cannot_drown_the_question(default):
    pasted = "The weather in Oslo was mild. " * 10_000
    with_question = default.score(signals(pasted + HARD[0]))
    assert with_question.gain != default.score(signals(pasted)).gain
    longer = default.score(signals("The weather in Oslo was mild. " * 20_000 + HARD[0]))
    assert longer.gain == with_question.gain


@given(ANY_TEXT)
@example("\ud800\x00\udfff")
@example("")
def test_any_text_gets_a_finite_score(scorer, text):
    difficulty = scorer.score(signals(text))
    assert 0 <= difficulty.value <= 1
    assert isfinite(difficulty.gain or 0)
    assert all(0 <= chance <= 1 for chance in difficulty.p_good)
    assert scorer.score(signals(text)) == difficulty


@pytest.mark.parametrize("unit", ["1", "a", "[", "+-", "a 1 ", "😀", "\ud800", "QUJD/+", "\x00 "])
@pytest.mark.timeout(20)
def test_a_megabyte_of_anything_is_scored_at_once(scorer, unit):
    request = signals(unit * (1_000_000 // len(unit)))
    # Two hundred of these would take minutes if the work grew with the text.
    values = {scorer.score(request).value for _ in range(200)}
    assert len(values) == 1


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e308), st.floats(-1e308, 1e308)
)
def test_a_chance_is_within_bounds(value, slope, offset):
    assert 0 <= logistic(value, (slope, offset)) <= 1


@pytest.mark.parametrize("prompt", [*EASY, *HARD, "", "? " * 40, "of the " * 30])
def test_a_score_is_the_calibrated_raw_value_of_the_view_with_the_least_gain(default, prompt):
    raw = default.raw(read(signals(prompt)))
    views = [[*map(logistic, view, default.calibration)] for view in raw]
    chosen = min(views, key=lambda view: max(view[1:]) - view[0])
    found = default.score(signals(prompt))
    assert found.p_good == pytest.approx(chosen, abs=1e-12)
    assert found.gain == pytest.approx(max(chosen[1:]) - chosen[0], abs=1e-12)


def test_scoring_needs_no_workshop():
    """Neither scikit-learn nor what trains is wanted to serve."""
    import subprocess

    code = (
        "import sys, pathlib, gateway.scorers as s;"
        f"s.load(pathlib.Path({str(DEFAULT)!r}));"
        "sys.exit(bool({'sklearn', 'scipy', 'router_models', 'litellm'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
