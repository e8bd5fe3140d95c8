"""What a scorer sees of a request: its words, and some fifty bounded counters.

Everything here is bounded for any input: a prompt is cut to its head and tail before it is read,
there is no pattern to match, and the words are capped.

A text is read in up to four **views**: whole, without its first WINDOW words, without its last, and
without both. Whoever puts words before or after a prompt has no say in at least one of them. What
is reckoned by arrays has a column for each of VIEWS (`marks`), whatever the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import log1p
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.core.signals import Signals
from gateway.scorers.marks import BYTES, VIEWS, marks_of
from gateway.scorers.tidy import HEAD, TAIL, tidy

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
_APART: Final = {sign: (bytes([sign]), bytes([32, sign, 32])) for sign in _SIGNS}
LONGEST: Final = 14
"""Bytes of a word beyond which all strangers are alike."""
_STRANGERS: Final = tuple(b"~%d" % min((size + 1) // 2, 7) for size in range(LONGEST + 1))
_NUMBERS: Final = tuple(b"#%d" % digits for digits in range(7))

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
"""The counters' names, in the order of an artefact's; all before RATIOS are logarithms of one more
than the count."""
COUNTED: Final = ("chars", *BYTES, "words", *TRAITS, *CONTEXT, *RATIOS, *ENDS)
"""The same in the order in which they are counted."""
AS_COUNTED: Final = np.array([COUNTERS.index(name) for name in COUNTED])
"""For each of COUNTED its place among COUNTERS."""
LOGS: Final = len(COUNTERS) - len(RATIOS) - len(ENDS)

_KNOWN: Final = 2 + len(BYTES) + len(TRAITS)
_SAID: Final = LOGS + len(RATIOS)
# Of RATIOS, what is divided by one more than what.
_ABOVE: Final = np.array([*map(COUNTED.index, ("chars", "numbers", "long_words", "capitals"))])
_BELOW: Final = np.array([*map(COUNTED.index, ("words", "words", "words", "chars"))])
_ONES: Final = np.ones((len(RATIOS), VIEWS))
_LOGARITHMS: Final = np.log1p(np.arange(4 * (HEAD + TAIL + 1) + 1))
"""Of one more than any count: a text is cut to so many characters, of at most four bytes."""


class Reading(NamedTuple):
    """A request as read.

    `cut` are lower-cased words as bytes (at most 600); `spans` are the views, each from its first
    word to before its last's next, the whole text first. `marks`, (1 + BYTES, VIEWS), holds a
    view's characters and bytes, `ends`, (ENDS, VIEWS), how it begins and ends, `context`, of
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
    window = _window(text)
    plain = text.translate(_CUT)
    signs = _signs(plain)
    if window is None:
        words = _ends_of(_words(plain, signs))
        return _reading(signals, text, (0, len(text)), words, [(0, len(words))])
    low, high = window
    # Its parts end where a space is, and so no word of any sort is across two of them.
    first, last = (low, high) if low < high else (high, low)
    head = _words(plain[:first], signs)
    middle = _words(plain[first:last], signs)
    tail = _words(plain[last:], signs)
    words = head + middle + tail
    size, near, far = len(words), len(head), len(head) + len(middle)
    if (dropped := size - FIRST_WORDS - LAST_WORDS) > 0:
        words = _ends_of(words)
        near, far = (p if p <= FIRST_WORDS else max(p - dropped, FIRST_WORDS) for p in (near, far))
    if low < high:
        spans = [(0, len(words)), (near, len(words)), (0, far), (near, far)]
    else:
        spans = [(0, len(words)), (far, len(words)), (0, near)]
    return _reading(signals, text, window, words, spans)


def read_whole(signals: Signals) -> Reading:
    """Read a request in one view, the whole: for who does not mind what is put before or after."""
    text = _text(signals)
    plain = text.translate(_CUT)
    words = _ends_of(_words(plain, _signs(plain)))
    return _reading(signals, text, (0, len(text)), words, [(0, len(words))])


def _text(signals: Signals) -> bytes:
    return tidy(signals.text).encode("utf-8", "replace").translate(_BLANKS)


def _ends_of(words: list[bytes]) -> list[bytes]:
    most = FIRST_WORDS + LAST_WORDS
    return words if len(words) <= most else words[:FIRST_WORDS] + words[-LAST_WORDS:]


def _reading(
    signals: Signals,
    text: bytes,
    window: tuple[int, int],
    words: list[bytes],
    spans: list[tuple[int, int]],
) -> Reading:
    """`window` is where the first words end and the last begin; the text's own ends, if whole."""
    low, high = window
    said = text.strip()
    first, last = said[:1], said[-1:]
    # At `low` and before `high` stand no spaces.
    late, early = (text[low : low + 1], text[high - 1 : high]) if len(spans) > 1 else (first, last)
    return Reading(
        words,
        spans,
        marks_of(text, low, high),
        _ends(last, early, first, late, low < high),
        _context(
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


def _signs(plain: bytes) -> list[tuple[bytes, bytes]]:
    """Return the signs of a text, each with how it stands apart; most texts have none."""
    found = []
    for sign in _SIGNS:  # as a number: 200 instructions of the processor, and as bytes 1,900
        if sign in plain:
            found.append(_APART[sign])
    return found


def _words(plain: bytes, signs: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    for sign, apart in signs:
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


def counters(reading: Reading, tally: NDArray[Any]) -> Array:
    """Return (COUNTED, VIEWS) counters; `tally`, (1 + TRAITS, VIEWS), is how many words a view has,
    and the sums of their `traits_of`."""
    found = np.empty((len(COUNTED), VIEWS))
    counted = np.concatenate((reading.marks, tally))
    _LOGARITHMS.take(counted.astype(np.intp), None, found[:_KNOWN], "clip")
    found[_KNOWN:LOGS] = reading.context
    below = counted.take(_BELOW, 0)
    below += _ONES
    np.true_divide(counted.take(_ABOVE, 0), below, found[LOGS:_SAID])
    found[_SAID:] = reading.ends
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
    """Return (views, COUNTERS), reckoned word by word: for training, and for rules."""
    words = reading.words
    views = [words[start:stop] for start, stop in reading.spans]
    tally = [[len(view), *sum_traits(view)] for view in views]
    tally += tally[:1] * (VIEWS - len(views))
    found = np.empty((len(views), len(COUNTERS)))
    found[:, AS_COUNTED] = counters(reading, np.array(tally).T).T[: len(views)]
    return found


@lru_cache(maxsize=1 << 12)
def _ends(last: bytes, early: bytes, first: bytes, late: bytes, apart: bool) -> Array:
    """Say how each view ends and begins: of the last byte, that of the views without the last
    words, the first, and that of the views without the first words."""
    whole = (last, first)
    every = [whole, (last, late), (early, first), (early, late) if apart else whole]
    said = [(a == b"?", a == b".", a == b":", b"A" <= b <= b"Z") for a, b in every]
    return np.array(said, np.float64).T.copy()


@lru_cache(maxsize=1 << 10)
def _context(*counts: int) -> Array:
    """Return logarithms of one more than the CONTEXT's counts; most requests' are like others'."""
    return np.array([[log1p(min(max(count, 0), MOST))] for count in counts])
