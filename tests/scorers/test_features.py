"""Reading a request: bounded for any text, and blind to nothing that sets questions apart."""

from __future__ import annotations

from math import isfinite, log1p

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.signals import Signals
from gateway.scorers import features
from gateway.scorers.features import COUNTERS, clip, read, terms

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=3000)


def counter(signals: Signals, name: str) -> float:
    return read(signals).counters[COUNTERS.index(name)]


def test_numbers_stand_as_their_shape():
    words = read(Signals(text="What is 47+3 - 1234567?")).words
    assert words == [b"what", b"is", b"#2", b"+", b"#1", b"-", b"#6"]


def test_short_sums_and_long_sums_read_differently():
    small, large = (read(Signals(text=text)) for text in ("What is 4+3?", "What is 47+38?"))
    assert set(small.words) != set(large.words)
    differing = {
        name
        for name, one, other in zip(COUNTERS, small.counters, large.counters, strict=True)
        if one != other
    }
    assert {"digits", "longest_number", "long_numbers"} <= differing


def test_terms_are_words_and_pairs_and_strangers_stand_as_their_length():
    known = {b"spell", b"the"}
    assert terms([b"spell", b"the", b"xylophone", b"#2"], known) == [
        b"spell", b"the", b"~5", b"#2", b"spell the", b"the ~5", b"~5 #2",
    ]  # fmt: skip


def test_only_head_and_tail_are_read():
    head, tail = "h" * features.HEAD, "t" * features.TAIL
    assert clip(head + "middle" * 1000 + tail) == f"{head} {tail}"
    assert clip(head + tail) == head + tail
    reading = read(Signals(text="a 1 " * 100_000))
    assert len(reading.words) == features.FIRST_WORDS + features.LAST_WORDS


def test_the_context_counts():
    plain = Signals(text="Hello", prompt_chars=5, turns=1)
    rich = Signals(
        text="Hello", prompt_chars=105, turns=3, tools=2, images=1, wants_json=True, max_tokens=9
    )
    expected = {
        "history": 100, "turns": 3, "tools": 2, "images": 1, "wants_json": 1, "max_tokens": 9,
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
        "negation": 1, "condition": 1, "code_words": 1, "choices": 1, "numbers": 3,
    }.items():  # fmt: skip
        assert found[name] == round(log1p(count), 6), name


@given(ANY_TEXT, st.integers(-(10**400), 10**400))
@example("\ud800\x00\udfff", 10**400)
@example("İ" * 2000, -1)
@example("١٢٣ ²", 0)
def test_any_text_gives_finite_counters(text, number):
    signals = Signals(text=text, prompt_chars=number, turns=number, tools=number, max_tokens=number)
    reading = read(signals)
    assert len(reading.counters) == len(COUNTERS)
    assert all(isfinite(value) and value >= 0 for value in reading.counters)
    assert len(reading.words) <= features.FIRST_WORDS + features.LAST_WORDS
    assert not any(b"\n" in word or b" " in word for word in reading.words)
