"""A prompt cut to its head and tail, without filler, before anything reads it."""

from __future__ import annotations

import re
from typing import Final

HEAD: Final = 1500
TAIL: Final = 500
"""Characters read from a prompt's start and end, so that a pasted document cannot drown it."""
_HIDDEN: Final = re.compile(
    "[\x80-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]+"
)
"""Characters that nobody sees."""
_SPACES: Final = "\x85\xa0\u1680\u2028\u2029\u202f\u205f\u2800\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What looks like a space, or parts lines, and is none of ASCII's."""
_GAP: Final = re.compile(r"([\s\0-\x1f\x7f]{2})[\s\0-\x1f\x7f]+")
_BLANK: Final = bytes(32 if b < 32 or b == 127 else b for b in range(256))
"""What may be in a gap becomes a space, once the spaces beyond ASCII have."""
_NEAR: Final = 1000
_FAR: Final = 3000
"""Characters of a long text's end that are looked at (of its beginning three times as many), and
where those hold little but filler."""


def clip(text: str) -> str:
    """Keep the head and the tail of a long text."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]} {text[-TAIL:]}"


def tidy(text: str) -> str:
    """Keep the head and the tail, without gaps and what nobody sees: filler is no length, and hides
    nothing unless there are thousands of it."""
    for reach in (_NEAR, _FAR):
        if len(text) <= 4 * reach:
            return clip(_sweep(text))
        head, tail = _sweep(text[: 3 * reach]), _sweep(text[-reach:])
        if len(head) >= HEAD and len(tail) >= TAIL:
            break
    return clip(f"{head} {tail}")


def _sweep(text: str) -> str:
    if not text.isascii():
        text = _HIDDEN.sub("", text)
        for space in _SPACES:  # each at memchr's pace, which no pattern has where they are many
            text = text.replace(space, " ")
    text = text.strip()
    # Most texts have no gap, and to look for one like this takes a tenth of the pattern's time.
    gap = text.encode("utf-8", "replace").translate(_BLANK).find(b"   ")
    return text if gap < 0 else _GAP.sub(r"\1", text)
