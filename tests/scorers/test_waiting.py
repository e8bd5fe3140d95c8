"""The parts of scorers that wait, one by one: the answers, the band, the guard."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.breaker import Breaker
from gateway.core.chat import Delta, Piece
from gateway.core.difficulty import Difficulty
from gateway.core.money import Price
from gateway.core.plan import Tier
from gateway.core.scorer_spec import LlmSpec, PythonSpec, RemoteSpec, scorer_name
from gateway.core.signals import Signals
from gateway.scorers.guard import Guarded
from gateway.scorers.llm import LlmScorer, answer, messages
from gateway.waiting.guard import Unusable

BASE = Difficulty(0.75, 0.2, (0.5, 0.7), "default@1", score=0.2)
JUDGE = Tier("scorer", "near", "judge", Price(1_000_000))


# ------------------------------------------------------------------ the model's answer


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("0", 0),
        ("100", 100),
        (" 42.\n", 42),
        ("**7**", 7),
        ('"hard"', 100),
        ("Easy!", 0),
        ("\u201c7.\u201d", 7),
    ],
)
def test_one_word_or_number(said, number):
    assert answer(said) == number


@pytest.mark.parametrize(
    "said",
    [
        "",
        "-5",
        "[3]",
        "(3)",
        "3%",
        "3/5",
        "#3",
        "$3",
        ".5",
        "5 6",
        "5.5",
        "easy hard",
        "101",
        "1000",
        "hardly",
        "It is 50",
        "\u0665",
        "5" * 99,
    ],
)
def test_anything_else_is_no_answer(said):
    with pytest.raises(Unusable):
        answer(said)


@given(st.text(max_size=300))
def test_no_answer_is_out_of_range(said):
    with contextlib.suppress(Unusable):
        assert 0 <= answer(said) <= 100


@given(st.text(max_size=3_000))
def test_the_text_never_ends_its_own_data(text):
    system, user = messages("Judge.", Signals(text=text), "0123456789abcdef")
    assert user["content"].startswith("0123456789abcdef\n")
    assert user["content"].endswith("\n0123456789abcdef")
    assert text[:100] in user["content"]
    assert "one whole number" in system["content"]


def test_what_is_known_of_the_context_is_told():
    signals = Signals(text="x", turns=4, tools=2, images=1, wants_json=True)
    system, _ = messages("Judge.", signals, "m")
    for told in ("offers 2 tools", "turn 4", "1 images", "wants JSON"):
        assert told in system["content"]
    plain, _ = messages("Judge.", Signals(text="x", turns=1), "m")
    assert "known" not in plain["content"]


# ------------------------------------------------------------------ the band


class Model:
    """An upstream's side of `Calls`: what is said, or raised."""

    def __init__(self, said):
        self.said = said

    async def make(self, tier, guess, seconds, send):
        if isinstance(self.said, BaseException):
            raise self.said
        return [Delta(pieces=(Piece(text=self.said),))]


def banded(low=0.6, high=0.9, base="default@1"):
    return LlmScorer(LlmSpec(JUDGE, (low, high)), None, base)


@pytest.mark.parametrize(
    ("value", "asked"), [(0.59, False), (0.6, True), (0.9, True), (0.91, False)]
)
def test_only_inside_the_band_is_it_asked(value, asked):
    scorer = banded()
    settled = scorer.settle(Difficulty(value, 0.2, (0.5, 0.7), "default@1", score=0.2))
    assert (settled is None) == asked
    if settled is not None:
        assert (settled.value, settled.ranked, settled.gain) == (value, value, 0.2)
        assert settled.scorer == scorer.label


@pytest.mark.parametrize(
    ("said", "low", "high"),
    [("0", 0.59, 0.6), ("1", 0.6, 0.61), ("50", 0.74, 0.76), ("100", 0.9, 0.9)],
)
async def test_its_answer_has_a_place_in_the_band(said, low, high):
    found = await banded().ask(Signals(text="x"), BASE, 1.0, Model(said))
    assert low <= found.value <= high
    assert (found.value < 0.6) == (said == "0")
    assert found.ranked == found.value, "ranked with the answer, not with the base's score"


def test_another_model_prompt_band_or_base_is_another_version():
    labels = {
        banded().label,
        banded(low=0.5).label,
        banded(base="default@3").label,
        LlmScorer(LlmSpec(JUDGE, (0.6, 0.9), prompt="Judge."), None, "default@1").label,
        LlmScorer(LlmSpec(Tier("t", "u", "other"), (0.6, 0.9)), None, "default@1").label,
    }
    assert len(labels) == 5
    assert banded().label == banded().label


def test_its_estimate_grows_with_the_text_and_is_bounded():
    scorer = banded()
    small, long, longer = (scorer.estimate(Signals(text="x" * n)) for n in (1, 2_000, 10**6))
    assert 0 < small < long
    assert longer <= long + 1


# ------------------------------------------------------------------ the guard


async def test_a_cancelled_probe_makes_room_for_the_next():
    breaker = Breaker(failures=1, pause=0.0)
    breaker.fail(breaker.enter(0.0), 0.0)
    guarded = Guarded(banded(), 1.0, breaker)
    hanging = Model(None)

    async def hang(*_):
        await asyncio.sleep(60)

    hanging.make = hang
    task = asyncio.create_task(guarded.assess(Signals(text="x"), BASE, 9, hanging))
    await asyncio.sleep(0)
    assert (await guarded.assess(Signals(text="x"), BASE, 9, Model("5"))).fallback == "open"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await guarded.assess(Signals(text="x"), BASE, 9, Model("5"))).fallback == ""
    assert breaker.closed


async def test_a_fault_of_ours_is_survived_and_counted_as_one():
    found = await Guarded(banded(), 1.0).assess(Signals(), BASE, 9, Model(KeyError("oh")))
    assert found.fallback == "error"
    assert found.difficulty == Difficulty(0.75, 0.2, (0.5, 0.7), "default@1+fallback", score=0.2)


# ------------------------------------------------------------------ names


def test_a_scorer_is_named_without_its_secrets():
    remote = RemoteSpec("http://h/e", "m", "folder", "sk-1")
    assert "sk-1" not in repr(remote) + scorer_name(remote)
    assert scorer_name(PythonSpec("a.b")) == "python:a.b"
    assert scorer_name(LlmSpec(JUDGE, (0.6, 0.9))) == "llm judge from 0.6 to 0.9 of default"
    assert scorer_name("rules") == "rules"
