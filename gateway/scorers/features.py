"""What a scorer sees of a request: its words, as terms, and some thirty bounded counters.

Everything here is bounded for any input: a prompt is cut to its head and tail before it is read,
the only pattern has no alternative ways to match, and the words are capped.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import log1p
from types import MappingProxyType
from typing import Final

from gateway.core.signals import Signals

VERSION: Final = 1
"""Raise it when a term or a counter changes meaning: artefacts of another version are refused."""
HEAD: Final = 1500
TAIL: Final = 500
"""Characters read from a prompt's start and end, so that a pasted document cannot drown it."""
FIRST_WORDS: Final = 450
LAST_WORDS: Final = 150
MOST: Final = 1e6
"""A count of the context is not read beyond this."""

# One class or one symbol at a time: there is never a second way to match, so nothing to go back to.
_WORD: Final = re.compile(rb"[0-9a-z_\x80-\xff]+|[-+*/=<>^%]")
_NUMBERS: Final = tuple(b"#%d" % digits for digits in range(7))
_UNKNOWN: Final = tuple(b"~%d" % min((size + 1) // 2, 7) for size in range(16))

_CHARACTERS: Final = MappingProxyType(
    {
        "questions": "?",
        "lines": "\n",
        "arithmetic": "+-*/=^",
        "brackets": "([{",
        "latex": "\\$",
        "quotes": '"',
        "code_marks": "`{;",
        "percents": "%",
        "commas": ",",
    }
)
_WORD_SETS: Final = MappingProxyType(
    {
        name: frozenset(words.encode().split())
        for name, words in {
            "reasoning": "why how explain prove derive analyze analyse compare evaluate design "
            "implement step steps reason justify",
            "negation": "not except never false incorrect least without cannot neither nor",
            "condition": "if then unless suppose assume given each every per total twice half "
            "percent remaining more than less",
            "asking": "what who when where which define list name",
            "code_words": "def class import return function var const select print assert",
            "writing": "write poem story essay email translate summarize summarise rewrite",
            "sequence": "first second finally after before next last previous",
            "choices": "a b c d e f g h i j",
        }.items()
    }
)

COUNTERS: Final = (
    "chars",
    "foreign",
    "words",
    "letters_per_word",
    "longest_word",
    "long_words",
    "distinct",
    "numbers",
    "digits",
    "longest_number",
    "long_numbers",
    *_CHARACTERS,
    *_WORD_SETS,
    "history",
    "turns",
    "tools",
    "images",
    "wants_json",
    "max_tokens",
)
"""The counters' names, in the order of `Reading.counters`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`words` are lower-cased bytes with numbers as shapes (`#2` has two digits); `counters` are
    logarithms of counts, in the order of COUNTERS."""

    words: list[bytes]
    counters: list[float]


def read(signals: Signals) -> Reading:
    """Read a request; the work is bounded whatever its size."""
    text = clip(signals.text)
    lowered = text.lower()
    found = _WORD.findall(encoded := lowered.encode("utf-8", "replace"))
    if len(found) > FIRST_WORDS + LAST_WORDS:
        found = found[:FIRST_WORDS] + found[-LAST_WORDS:]
    foreign = len(encoded) - len(lowered)
    counts = [len(text), foreign, *_sizes(found), *_marks(text, set(found)), *_context(signals)]
    words = [_NUMBERS[min(len(word), 6)] if word.isdigit() else word for word in found]
    return Reading(words, [log1p(count) for count in counts])


def clip(text: str) -> str:
    """Keep the head and the tail of a long text."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]} {text[-TAIL:]}"


def terms(words: Iterable[bytes], known: Container[bytes]) -> list[bytes]:
    """Words and pairs of neighbours; a word that is not `known` stands as its length (`~3`)."""
    single = [
        word if word in known or word[:1] == b"#" else _UNKNOWN[min(len(word), 15)]
        for word in words
    ]
    return single + list(map(b" ".join, pairwise(single)))


def _sizes(words: list[bytes]) -> tuple[float, ...]:
    numbers = [len(word) for word in words if word.isdigit()]
    lengths = [len(word) for word in words if not word.isdigit()]
    return (
        len(words),
        sum(lengths) / (len(lengths) or 1),
        max(lengths, default=0),
        sum(length > 8 for length in lengths),
        len(set(words)) / (len(words) or 1),
        len(numbers),
        sum(numbers),
        max(numbers, default=0),
        sum(digits > 1 for digits in numbers),
    )


def _marks(text: str, words: set[bytes]) -> list[int]:
    marks = [sum(map(text.count, characters)) for characters in _CHARACTERS.values()]
    return marks + [len(words & kind) for kind in _WORD_SETS.values()]


def _context(signals: Signals) -> tuple[float, ...]:
    counts = (
        signals.prompt_chars - len(signals.text),
        signals.turns,
        signals.tools,
        signals.images,
        signals.wants_json,
        signals.max_tokens or 0,
    )
    return tuple(min(max(count, 0), MOST) for count in counts)
