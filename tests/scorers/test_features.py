"""Reading a request: bounded for any text, and blind to nothing that sets questions apart."""

from __future__ import annotations

from hashlib import blake2b
from math import isfinite, log1p

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.signals import Signals
from gateway.scorers import features
from gateway.scorers.features import (
    COUNTERS,
    LOGS,
    WINDOW,
    read,
    read_whole,
    slow_counters,
    stranger,
)
from gateway.scorers.hashes import question_hash
from gateway.scorers.tidy import HEAD, TAIL, clip, tidy

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=3000)


def counter(signals: Signals, name: str, view: int = 0) -> float:
    return slow_counters(read(signals))[view][COUNTERS.index(name)]


def views(text: str) -> list[list[bytes]]:
    reading = read(Signals(text=text))
    return [reading.words[start:stop] for start, stop in reading.spans]


def numbered(n: int) -> str:
    return " ".join(f"w{i}x" for i in range(n))


# ------------------------------------------------------------------ words


def test_numbers_stand_as_their_shape_and_signs_alone():
    words = read(Signals(text="What is 47+3 - 1234567?")).words
    assert words == [b"what", b"is", b"#2", b"+", b"#1", b"-", b"#6"]


def test_short_sums_and_long_sums_read_differently():
    small, large = (Signals(text=text) for text in ("What is 4+3?", "What is 47+38?"))
    assert set(read(small).words) != set(read(large).words)
    assert counter(small, "digits") < counter(large, "digits")
    assert counter(small, "long_numbers") < counter(large, "long_numbers")


def test_a_stranger_stands_as_its_length():
    assert [stranger(word) for word in (b"ox", b"tree", b"xylophone", b"x" * 90)] == [
        b"~1", b"~2", b"~5", b"~7",
    ]  # fmt: skip


def test_only_head_and_tail_are_read():
    head, tail = "h" * HEAD, "t" * TAIL
    assert clip(head + "middle" * 1000 + tail) == f"{head} {tail}"
    assert clip(head + tail) == head + tail
    reading = read(Signals(text="a 1 " * 100_000))
    assert len(reading.words) == features.FIRST_WORDS + features.LAST_WORDS


FILLER = st.lists(
    st.sampled_from("\u200b \n \u2060 \ufeff \u00ad \u202e \xa0 \x80 \U0001d173 \u2800".split(" ")),
    max_size=400,
)


@given(st.integers(1, 60), FILLER, st.booleans())
@example(8, ["\u200b"] * 400, True)
@example(8, ["\n", "\xa0"] * 200, False)
def test_filler_that_nobody_sees_counts_for_next_to_nothing(size, filler, first):
    """Whatever its amount: a few line ends or spaces may stay, and no character more."""
    prompt, made = numbered(size), "".join(filler)
    alone, filled = (
        read(Signals(text=text)) for text in (prompt, made + prompt if first else prompt + made)
    )
    assert filled.words == alone.words
    assert filled.spans == alone.spans
    chars, lines = COUNTERS.index("chars"), COUNTERS.index("lines")
    alone, filled = slow_counters(alone), slow_counters(filled)
    assert (filled[:, chars] == alone[:, chars]).all()
    assert (filled[:, lines] == alone[:, lines]).all()


def test_a_gap_in_a_text_is_two_spaces():
    assert tidy("one\n\n\n\n\ntwo \t  three  four") == "one\n\ntwo \tthree  four"


@pytest.mark.parametrize("filler", ["\n", " ", "\u200b", "\xa0", "\x01", "\u2028"])
@pytest.mark.parametrize("size", [1, 900, 2_900])
def test_filler_hides_no_question(filler, size):
    text = f"x{filler * 3 * size}question{filler * size}y"
    assert "question" in tidy(text)
    assert tidy(text).count("question") == 1
    assert len(tidy(text)) < 30
    document = "The weather in Oslo was mild. " * 4000
    assert "question" in tidy(f"{document}question{filler * size}")


@pytest.mark.parametrize("space", ["\xa0", "\u2003", "\u3000", "\x01", "\x7f", "\u2028", "\x85"])
def test_whatever_looks_like_a_space_parts_words(space):
    prompt = numbered(30)
    assert views(prompt.replace(" ", space)) == views(prompt)


def test_a_question_is_known_by_its_words_whatever_their_layout():
    assert question_hash("What  is\nTHIS?") == question_hash("what is this?")
    assert question_hash("what is this?") != question_hash("what is that?")


@given(ANY_TEXT | st.text("Ab \t\n\v\f\r\x1c\x1d\x1e\x1f\x00\x7f", max_size=60))
def test_a_question_s_hash_is_the_one_that_artefacts_hold(text):
    normal = " ".join(text.casefold().split()).encode("utf-8", "replace")
    assert question_hash(text) == int.from_bytes(blake2b(normal, digest_size=8).digest())


# ------------------------------------------------------------------ views


def test_a_short_text_has_one_view():
    assert views(numbered(WINDOW)) == [[b"w%dx" % i for i in range(WINDOW)]]


def test_a_longer_one_is_also_read_without_the_words_at_either_end():
    words = [b"w%dx" % i for i in range(WINDOW + 5)]
    assert views(numbered(WINDOW + 5)) == [words, words[WINDOW:], words[:5]]


def test_a_long_one_is_also_read_without_both():
    size = 2 * WINDOW + 7
    words = [b"w%dx" % i for i in range(size)]
    whole, late, early, middle = views(numbered(size))
    assert whole == words
    assert late == words[WINDOW:]
    assert early == words[:-WINDOW]
    assert middle == words[WINDOW:-WINDOW]


@given(
    st.lists(st.sampled_from(["(((", "a-b-c-d", "é", "47", "???", "word"]), max_size=WINDOW),
    st.integers(1, 60),
)
def test_no_prefix_of_so_many_words_is_in_every_view(prefix, size):
    """Whatever the words are: what is glued together by signs counts once, as anybody would."""
    prompt = " ".join(f"own{i}" for i in range(size))
    text = f"{' '.join(prefix)} {prompt}"
    held = views(text)
    if len(text.split()) > WINDOW:
        assert all(word.startswith(b"own") for word in held[1])
        assert set(held[1]) <= set(views(prompt)[0])


@given(
    st.lists(st.sampled_from(["(((", "a-b-c-d", "é", "47", "word"]), max_size=WINDOW),
    st.integers(1, 60),
)
def test_no_suffix_either(suffix, size):
    prompt = " ".join(f"own{i}" for i in range(size))
    text = f"{prompt} {' '.join(suffix)}"
    if len(text.split()) > WINDOW:
        assert all(word.startswith(b"own") for word in views(text)[2])


def test_a_view_s_counters_are_those_of_its_own_text():
    marks = "((( ??? " * (WINDOW // 2)
    attacked = Signals(text=marks + numbered(60))
    assert counter(attacked, "parentheses") > 3
    assert counter(attacked, "parentheses", view=1) == 0
    plain = slow_counters(read(Signals(text=numbered(60))))[0]
    assert np.allclose(slow_counters(read(attacked))[1][:LOGS][2:], plain[:LOGS][2:])


# ------------------------------------------------------------------ counters


def test_the_context_counts():
    plain = Signals(text="Hello", prompt_chars=5, turns=1)
    rich = Signals(
        text="Hello", prompt_chars=105, turns=3, tools=2, images=1, wants_json=True, max_tokens=9,
        schema_chars=400, system_chars=60,
    )  # fmt: skip
    expected = {
        "history": 100, "turns": 3, "tools": 2, "images": 1, "wants_json": 1, "max_tokens": 9,
        "schema": 400, "system": 60,
    }  # fmt: skip
    assert {name: counter(rich, name) for name in expected} == {
        name: log1p(count) for name, count in expected.items()
    }
    assert read(plain).words == read(rich).words


def test_marks_and_word_lists_count():
    text = 'Why not? Explain "x" = $\\frac{1}{2}$;\nif a `def` returns 50%, stop'
    found = {name: round(counter(Signals(text=text), name), 6) for name in COUNTERS}
    for name, count in {
        "questions": 1, "lines": 1, "quotes": 2, "latex": 3, "percents": 1, "reasoning": 2,
        "negation": 1, "condition": 1, "code_words": 1, "choices": 1, "numbers": 3, "capitals": 2,
        "code_marks": 7, "equals": 1,
    }.items():  # fmt: skip
        assert found[name] == round(log1p(count), 6), name


def test_scripts_and_ends_are_told_apart():
    latin, cyrillic, chinese = (Signals(text=text) for text in ("Déjà vu.", "Почему?", "为什么"))
    assert counter(latin, "accents") == pytest.approx(log1p(2))
    assert counter(cyrillic, "greek_cyrillic") == pytest.approx(log1p(6))
    assert counter(chinese, "indic_asian") == pytest.approx(log1p(3))
    assert (counter(latin, "ends_said"), counter(cyrillic, "ends_asking")) == (1, 1)
    assert (counter(latin, "starts_capital"), counter(chinese, "starts_capital")) == (1, 0)


@given(ANY_TEXT, st.integers(-(10**400), 10**400))
@example("\ud800\x00\udfff", 10**400)
@example("İ" * 2000, -1)
@example("١٢٣ ²", 0)
@example("a " * 700, 0)
@example("a+" * 300 + " b" * 30 + "+c" * 300, 0)
@example("a+" * 900 + " b" * 30, 0)
def test_any_text_gives_finite_counters(text, number):
    signals = Signals(text=text, prompt_chars=number, turns=number, tools=number, max_tokens=number)
    reading = read(signals)
    found = slow_counters(reading)
    assert found.shape == (len(reading.spans), len(COUNTERS))
    assert all(isfinite(value) and value >= 0 for value in found.ravel())
    assert len(reading.words) <= features.FIRST_WORDS + features.LAST_WORDS
    assert all(0 <= start <= stop <= len(reading.words) for start, stop in reading.spans)
    assert not any(b"\n" in word or b" " in word for word in reading.words)


@given(ANY_TEXT)
@example("word " * 700)
def test_who_wants_one_view_reads_the_same_whole(text):
    signals = Signals(text=text, turns=2)
    every, whole = read(signals), read_whole(signals)
    assert (whole.words, whole.spans) == (every.words, every.spans[:1])
    assert np.array_equal(slow_counters(whole)[0], slow_counters(every)[0])
