"""The bytes of a text, counted in each of its views.

What is reckoned by arrays has a column for each of VIEWS, whatever the text: where there are fewer,
the whole text stands there again. So every text goes through the same steps of the same kernels,
and two views that hold the same have the same score to the last bit.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

VIEWS: Final = 4
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
# Each byte is a character (unless it is a space) and a byte of some groups. Bytes of the same ones
# are of one kind: there are some twenty, so that a text comes to a few numbers, not 256.
_OF_BYTES: Final = [(b > 32, *(b in held for held in BYTES.values())) for b in range(256)]
_KINDS: Final = list(dict.fromkeys(_OF_BYTES))
_GROUPS: Final = np.array(_KINDS, np.float64).T.copy()
_PARTS: Final = tuple(
    bytes(part * len(_KINDS) + _KINDS.index(held) for held in _OF_BYTES) for part in range(3)
)
"""Bytes to their kinds, other numbers in each of a text's parts."""
APART: Final = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 0], [0, 1, 0]], np.float32)
"""Which of a text's three parts, cut where its first words end and its last begin, are in each of
VIEWS. A text of one view is all in the middle."""
LAPPED: Final = np.array([[1, 1, 1], [0, 0, 1], [1, 0, 0], [1, 1, 1]], np.float32)
"""The same where the last words begin before the first end, so that the middle is of both, and no
view is without them."""
# The counts of the kinds in all three parts, one after another, to (1 + BYTES, VIEWS) in one row.
_APART_MARKS, _LAPPED_MARKS = (
    np.einsum("gk,vp->gvpk", _GROUPS, within).reshape(len(_GROUPS) * VIEWS, 3 * len(_KINDS))
    for within in (APART, LAPPED)
)


def marks_of(text: bytes, low: int, high: int) -> NDArray[np.float64]:
    """Count each view's characters and bytes, (1 + BYTES, VIEWS): those of the parts of the text
    that are in it, cut at `low` and at `high`, where the first words end and the last begin. (One
    count of three parts: half the time of one for each view.)"""
    first, last, marks = (low, high, _APART_MARKS) if low < high else (high, low, _LAPPED_MARKS)
    head, middle, tail = _PARTS
    kinds = (
        text[:first].translate(head)
        + text[first:last].translate(middle)
        + text[last:].translate(tail)
    )
    counts = np.bincount(np.frombuffer(kinds, np.uint8), minlength=3 * len(_KINDS))
    found: NDArray[np.float64] = marks.dot(counts).reshape(len(_GROUPS), VIEWS)
    return found
