"""What a scorer sees of a request: its words, and some fifty bounded counters.

Everything here is bounded for any input: a prompt is cut to its head and tail before it is read,
there is no pattern to match, and the words are capped.

A text is read in up to four **views**: whole, without its first WINDOW words, without its last, and
without both. Whoever puts words before or after a prompt has no say in at least one of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from math import log1p
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.core.quick import quick
from gateway.core.signals import Signals
from gateway.scorers.tidy import tidy

Array = NDArray[np.float64]
VERSION: Final = 3
"""Raise it when a word or a counter changes meaning: artefacts of another version are refused."""
FIRST_WORDS: Final = 450
LAST_WORDS: Final = 150
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

# Each byte is a character (unless it is a space), a byte of some groups, and no word.
_GROUPS: Final = np.array(
    [[b > 32, 0, *(b in held for held in BYTES.values())] for b in range(256)], np.float64
)
# Which of a text's three parts are in each view: where its first and its last words lie apart, and
# where they overlap, so that the part in the middle is of both.
_APART_VIEWS: Final = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 0], [0, 1, 0]], np.float64)
_LAPPED_VIEWS: Final = np.array([[1, 1, 1], [0, 0, 1], [1, 0, 0]], np.float64)
_CAPITALS = 2 + list(BYTES).index("capitals")
_TRAITS = 2 + len(BYTES)


@quick
@dataclass(frozen=True, slots=True)
class Reading:
    """A request as read.

    `words` are lower-cased bytes (at most 600), numbers as shapes (`#2` has two digits); `spans`
    are the views, each from its first word to before its last's next, the whole text first.
    `marks`, (views, 2 + BYTES), holds a view's characters, words and bytes, `ends`, (views, ENDS),
    how it begins and ends, `context` the logarithms of CONTEXT.
    """

    words: list[bytes]
    spans: list[tuple[int, int]]
    marks: Array
    ends: list[tuple[float, ...]]
    context: tuple[float, ...]


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
        places = (len(_words(text[:low])), size - len(_words(text[high:])))
        start, stop = (p if p <= FIRST_WORDS else max(p - dropped, FIRST_WORDS) for p in places)
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
    views = [text, text[low:], text[:high], text[low:high]][: len(spans)]
    return Reading(
        words=_with_shapes(words),
        spans=spans,
        marks=_marks(text, low, high, spans),
        ends=[_ends(view) for view in views],
        context=_context(signals),
    )


def _words(text: bytes) -> list[bytes]:
    plain = text.translate(_CUT)
    if len(plain.translate(None, _SIGNS)) < len(plain):
        for sign, apart in _APART:
            plain = plain.replace(sign, apart)
    return plain.split()


def _with_shapes(words: list[bytes]) -> list[bytes]:
    """Put the shapes of numbers in their places. (Only those are looped over in Python: a word by
    word look at all was 3 % of what a request takes.)"""
    shaped = words[:]
    for place in compress(range(len(words)), map(bytes.isdigit, words)):
        shaped[place] = _NUMBERS[min(len(words[place]), 6)]
    return shaped


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


def question_hash(text: str) -> int:
    """Return 64 bits that tell a question from others, whatever its case and layout."""
    normal = " ".join(text.casefold().split()).encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(normal, digest_size=8).digest())


def counters(reading: Reading, traits: Array) -> Array:
    """Return (views, COUNTERS) counters; `traits` are the views' sums of `traits_of`."""
    marks = reading.marks
    views, at = len(marks), _TRAITS
    found = np.empty((views, len(COUNTERS)))
    found[:, :at] = marks
    found[:, at : at + len(TRAITS)] = traits
    np.log1p(found[:, : at + len(TRAITS)], out=found[:, : at + len(TRAITS)])
    found[:, at + len(TRAITS) : LOGS] = reading.context
    counts = marks[:, 1] + 1.0
    ratios = found[:, LOGS : LOGS + len(RATIOS)]
    np.divide(marks[:, 0], counts, out=ratios[:, 0])
    np.divide(traits[:, 0], counts, out=ratios[:, 1])
    np.divide(traits[:, 2], counts, out=ratios[:, 2])
    np.divide(marks[:, _CAPITALS], marks[:, 0] + 1.0, out=ratios[:, 3])
    found[:, LOGS + len(RATIOS) :] = reading.ends
    return found


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
    traits = [sum_traits(reading.words[start:stop]) for start, stop in reading.spans]
    return counters(reading, np.array(traits, float))


def _marks(text: bytes, low: int, high: int, spans: Sequence[tuple[int, int]]) -> Array:
    """Count each view's characters, words and bytes: those of the parts of the text that are in it,
    cut at `low` and at `high`. (One count of three parts: half the time of one for each view.)"""
    first, last = (low, high) if low <= high else (high, low)
    places = np.frombuffer(text, np.uint8).astype(np.int64)
    places[first:] += 256
    places[last:] += 256
    parts = np.bincount(places, minlength=768).reshape(3, 256) @ _GROUPS
    within = _APART_VIEWS if low <= high else _LAPPED_VIEWS
    counted: Array = within[: len(spans)] @ parts
    counted[:, 1] = [stop - start for start, stop in spans]
    return counted


def _ends(text: bytes) -> tuple[float, ...]:
    text = text.strip()
    last, first = text[-1:], text[:1]
    return (
        float(last == b"?"),
        float(last == b"."),
        float(last == b":"),
        float(b"A" <= first <= b"Z"),
    )


def _context(signals: Signals) -> tuple[float, ...]:
    counts = (
        signals.prompt_chars - len(signals.text),
        signals.turns,
        signals.tools,
        signals.schema_chars,
        signals.system_chars,
        signals.images,
        signals.wants_json,
        signals.max_tokens or 0,
    )
    return tuple(
        [log1p(count if 0 <= count <= MOST else min(max(count, 0), MOST)) for count in counts]
    )
