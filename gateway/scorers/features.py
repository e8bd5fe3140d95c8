"""What a scorer sees of a request: its words, and some fifty bounded counters.

Everything here is bounded for any input: a prompt is cut to its head and tail before it is read,
there is no pattern to match, and the words are capped.

A text is read in up to four **views**: whole, without its first WINDOW words, without its last, and
without both. Whoever puts words before or after a prompt has no say in at least one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import log1p
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.core.signals import Signals
from gateway.scorers.tidy import HEAD, TAIL, tidy

Array = NDArray[np.float64]
VERSION: Final = 3
"""Raise it when a word or a counter changes meaning: artefacts of another version are refused."""
FIRST_WORDS: Final = 450
LAST_WORDS: Final = 150
MOST_VIEWS: Final = 4
WINDOW: Final = 20
"""Words at either end that may have been put there to be scored rather than answered."""
MOST: Final = 1e6
"""A count of the context is not read beyond this."""
LONG: Final = 8
"""A word of more bytes is a long one."""

_BLANKS: Final = bytes(
    32 if (b < 32 and b not in b"\t\n\v\f\r") or b == 127 else b for b in range(256)
)
"""Every other control character is a space."""
_SIGNS: Final = b"+-*/=<>^%"
"""Signs that are words of their own."""
# ASCII letters in lower case, digits, `_`, and every byte of a character beyond ASCII are words'.
_CUT: Final = bytes(
    ord(chr(b).lower()) if b < 128 and (chr(b).isalnum() or b in b"_" + _SIGNS)
    else b if b > 127 else 32
    for b in range(256)
)  # fmt: skip
_APART: Final = tuple((bytes([sign]), bytes([32, sign, 32])) for sign in _SIGNS)
LONGEST: Final = 14
"""Bytes of a word beyond which all strangers are alike."""
_STRANGERS: Final = tuple(b"~%d" % min((size + 1) // 2, 7) for size in range(LONGEST + 1))
_NUMBERS: Final = tuple(b"#%d" % digits for digits in range(7))

BYTES: Final = MappingProxyType(
    {
        "questions": b"?",
        "lines": b"\n",
        "equals": b"=",
        "sums": b"+-*/^",
        "parentheses": b"(",
        "brackets": b"[",
        "latex": b"\\$",
        "quotes": b'"',
        "code_marks": b"`{};",
        "percents": b"%",
        "commas": b",",
        "dots": b".",
        "capitals": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "digits": b"0123456789",
        "foreign": bytes(range(128, 256)),
        "accents": bytes(range(0xC3, 0xCA)),
        "greek_cyrillic": bytes(range(0xCE, 0xD4)),
        "hebrew_arabic": bytes(range(0xD6, 0xDC)),
        "indic_asian": bytes(range(0xE0, 0xEE)),
        "symbols": b"\xf0",
    }
)
"""Counters of bytes: which. The last six tell scripts apart by their characters' first byte."""
WORDS: Final = MappingProxyType(
    {
        name: frozenset(words.encode().split())
        for name, words in {
            "reasoning": "why how explain prove derive analyze analyse compare evaluate design "
            "implement step steps reason justify",
            "negation": "not except never false incorrect least without cannot neither nor",
            "condition": "if then unless suppose assume given each every per total twice half "
            "percent remaining more than less",
            "asking": "what who when where which define list name",
            "code_words": "def class import from return function var const select print assert",
            "writing": "write poem story essay email translate summarize summarise rewrite",
            "expert": "court plaintiff defendant statute contract patient diagnosis theorem",
            "sequence": "first second finally before after next last previous",
            "choices": "a b c d e f g h i j",
        }.items()
    }
)
"""Counters of words: which."""
TRAITS: Final = ("numbers", "long_numbers", "long_words", *WORDS)
"""What is counted of words, in the order of `traits_of`."""
RATIOS: Final = ("letters_per_word", "number_share", "long_share", "capital_share")
ENDS: Final = ("ends_asking", "ends_said", "ends_open", "starts_capital")
CONTEXT: Final = (
    "history", "turns", "tools", "schema", "system", "images", "wants_json", "max_tokens",
)  # fmt: skip
COUNTERS: Final = ("chars", "words", *BYTES, *TRAITS, *CONTEXT, *RATIOS, *ENDS)
"""The counters' names, in the order of a row of `counters`; all before RATIOS are logarithms of
one more than the count."""
LOGS: Final = len(COUNTERS) - len(RATIOS) - len(ENDS)

# Each byte is a character (unless it is a space) and a byte of some groups. Bytes of the same ones
# are of one kind: there are some twenty, so that a text comes to a few numbers, not 256.
_OF_BYTES: Final = [(b > 32, *(b in held for held in BYTES.values())) for b in range(256)]
_KINDS: Final = list(dict.fromkeys(_OF_BYTES))
_GROUPS: Final = np.array(_KINDS, np.float64).T.copy()
_PARTS: Final = tuple(
    bytes(part * len(_KINDS) + _KINDS.index(held) for held in _OF_BYTES) for part in range(3)
)
"""Bytes to their kinds, other numbers in each of a text's parts."""
# Which of a text's three parts are in each view: where its first and its last words lie apart, and
# where they overlap, so that the part in the middle is of both.
_APART_VIEWS: Final = np.array([[1, 0, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]], np.float64)
_LAPPED_VIEWS: Final = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0]], np.float64)
_COUNTED: Final = 2 + len(BYTES) + len(TRAITS)
_SAID: Final = LOGS + len(RATIOS)
# Of RATIOS, what is divided by one more than what.
_ABOVE: Final = np.array([*map(COUNTERS.index, ("chars", "numbers", "long_words", "capitals"))])
_BELOW: Final = np.array([*map(COUNTERS.index, ("words", "words", "words", "chars"))])
_LOGARITHMS: Final = np.log1p(np.arange(4 * (HEAD + TAIL + 1) + 1))
"""Of one more than any count: a text is cut to so many characters, of at most four bytes."""


class Reading(NamedTuple):
    """A request as read.

    `cut` are lower-cased words as bytes (at most 600); `spans` are the views, each from its first
    word to before its last's next, the whole text first. `marks`, (1 + BYTES, views), holds a
    view's characters and bytes, `ends`, (ENDS, views), how it begins and ends, `context`, of
    (CONTEXT, 1), the logarithms of those.
    """

    cut: list[bytes]
    spans: list[tuple[int, int]]
    marks: Array
    ends: Array
    context: Array

    @property
    def words(self) -> list[bytes]:
        """The words, numbers as their shapes (`#2` has two digits)."""
        return [shape(word) if word.isdigit() else word for word in self.cut]


def read(signals: Signals) -> Reading:
    """Read a request; the work is bounded whatever its size."""
    text = _text(signals)
    words = _words(text)
    size = len(words)
    dropped = max(size - FIRST_WORDS - LAST_WORDS, 0)
    words = _ends_of(words)
    window, spans = _window(text), [(0, len(words))]
    if window:
        low, high = window
        places = [len(_words(text[:low])), size - len(_words(text[high:]))]
        if dropped:
            places = [p if p <= FIRST_WORDS else max(p - dropped, FIRST_WORDS) for p in places]
        start, stop = places
        spans += [(start, len(words)), (0, stop)]
        if low < high:
            spans.append((start, stop))
    return _reading(signals, text, window, words, spans)


def read_whole(signals: Signals) -> Reading:
    """Read a request in one view, the whole: for who does not mind what is put before or after."""
    text = _text(signals)
    words = _ends_of(_words(text))
    return _reading(signals, text, None, words, [(0, len(words))])


def _text(signals: Signals) -> bytes:
    return tidy(signals.text).encode("utf-8", "replace").translate(_BLANKS)


def _ends_of(words: list[bytes]) -> list[bytes]:
    most = FIRST_WORDS + LAST_WORDS
    return words if len(words) <= most else words[:FIRST_WORDS] + words[-LAST_WORDS:]


def _reading(
    signals: Signals,
    text: bytes,
    window: tuple[int, int] | None,
    words: list[bytes],
    spans: list[tuple[int, int]],
) -> Reading:
    low, high = window or (0, len(text))
    said = text.strip()
    return Reading(
        cut=words,
        spans=spans,
        marks=_marks(text, low, high, len(spans)),
        # At `low` and before `high` stand no spaces.
        ends=_ends(said[-1:], text[high - 1 : high], said[:1], text[low : low + 1], len(spans)),
        context=_context(
            signals.prompt_chars - len(signals.text),
            signals.turns,
            signals.tools,
            signals.schema_chars,
            signals.system_chars,
            signals.images,
            signals.wants_json,
            signals.max_tokens or 0,
        ),
    )


def _words(text: bytes) -> list[bytes]:
    plain = text.translate(_CUT)
    if len(plain.translate(None, _SIGNS)) < len(plain):
        for sign, apart in _APART:
            plain = plain.replace(sign, apart)
    return plain.split()


def shape(number: bytes) -> bytes:
    """Return what a word of digits stands as: `#1` to `#6`, by their number."""
    return _NUMBERS[min(len(number), 6)]


def _window(text: bytes) -> tuple[int, int] | None:
    """Return where the first words end and where the last begin; None for a text of no more.

    Words are counted here as anybody counts them, by the spaces between: who adds a number of them
    adds no more than that number, whatever is in them.
    """
    rest = text.split(None, WINDOW)
    if len(rest) <= WINDOW:
        return None
    return len(text) - len(rest[WINDOW]), len(text.rsplit(None, WINDOW)[0])


def stranger(word: bytes) -> bytes:
    """Return what a word that nobody knows stands as among terms: its length, `~1` to `~7`."""
    return _STRANGERS[min(len(word), LONGEST)]


def counters(reading: Reading, tally: NDArray[Any], found: Array) -> None:
    """Write (COUNTERS, views) counters; `tally`, (1 + TRAITS, views), is how many words a view has,
    and the sums of their `traits_of`."""
    marks = reading.marks
    parts = (marks[:1], tally[:1], marks[1:], tally[1:])
    counted = np.concatenate(parts, dtype=np.intp, casting="unsafe")
    _LOGARITHMS.take(counted, None, found[:_COUNTED], "clip")
    found[_COUNTED:LOGS] = reading.context
    below = counted.take(_BELOW, 0)
    below += 1
    np.true_divide(counted.take(_ABOVE, 0), below, found[LOGS:_SAID])
    found[_SAID:] = reading.ends


@lru_cache(maxsize=1 << 16)
def traits_of(word: bytes) -> tuple[int, ...]:
    """Say of which TRAITS a word (a number as its shape) is."""
    digits = int(word[1:]) if word[:1] == b"#" else 0
    letters = 2 * int(word[1:]) if word[:1] == b"~" else 0 if digits else len(word)
    return (
        int(digits > 0),
        int(digits > 1),
        int(letters > LONG),
        *(int(word in held) for held in WORDS.values()),
    )


def sum_traits(words: Iterable[bytes]) -> list[int]:
    """Add up the traits of words."""
    return [sum(column) for column in zip(*map(traits_of, words), strict=True)] or [0] * len(TRAITS)


def slow_counters(reading: Reading) -> Array:
    """Return what `counters` returns, reckoned word by word: for training, and for rules."""
    words = reading.words
    views = [words[start:stop] for start, stop in reading.spans]
    tally = [[len(view), *sum_traits(view)] for view in views]
    found = np.empty((len(COUNTERS), len(views)))
    counters(reading, np.array(tally).T, found)
    return found.T


def _marks(text: bytes, low: int, high: int, views: int) -> Array:
    """Count each view's characters and bytes: those of the parts of the text that are in it,
    cut at `low` and at `high`. (One count of three parts: half the time of one for each view.)"""
    first, last = (low, high) if low <= high else (high, low)
    head, middle, tail = _PARTS
    kinds = (
        text[:first].translate(head)
        + text[first:last].translate(middle)
        + text[last:].translate(tail)
    )
    counts = np.bincount(np.frombuffer(kinds, np.uint8), minlength=3 * len(_KINDS))
    within = _APART_VIEWS if low <= high else _LAPPED_VIEWS
    parts = counts.astype(np.float64).reshape(3, len(_KINDS)).T
    found: Array = _GROUPS.dot(parts.dot(within[:, :views]))
    return found


@lru_cache(maxsize=1 << 12)
def _ends(last: bytes, early: bytes, first: bytes, late: bytes, views: int) -> Array:
    """Say how each view ends and begins: of the last byte, that of the views without the last
    words, the first, and that of the views without the first words."""
    every = [(last, first), (last, late), (early, first), (early, late)][:views]
    said = [(a == b"?", a == b".", a == b":", b"A" <= b <= b"Z") for a, b in every]
    return np.array(said, np.float64).T.copy()


@lru_cache(maxsize=1 << 10)
def _context(*counts: int) -> Array:
    """Return logarithms of one more than the CONTEXT's counts; most requests' are like others'."""
    return np.array([[log1p(min(max(count, 0), MOST))] for count in counts])
