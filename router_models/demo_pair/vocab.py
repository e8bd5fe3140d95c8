"""The pair's vocabulary: bytes, the whole words of its own questions, and three marks.

Only a word after a space, or one that begins with a capital, is a token of its own; a word in
quotes falls into letters, so the models can spell. The pieces are cut as llama.cpp cuts them for
the tokenizer named `llama-bpe`, which takes a whole piece when the vocabulary has it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

END_OF_TEXT: Final = "<|endoftext|>"
START: Final = "<|im_start|>"
END: Final = "<|im_end|>"
SPECIALS: Final = (END_OF_TEXT, START, END)
# Bare words that are taken whole also without a space before them.
BARE: Final = tuple(
    "system user assistant tool name type function object string arguments description parameters"
    " properties required _call _response".split()
)

_PIECES: Final = re.compile(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|(?:[^\r\n\w]|_)?[^\W\d_]+"  # letters, with one mark or space before them
    r"|\d{1,3}"
    r"| ?(?:[^\s\w]|_)+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_WHOLE: Final = re.compile(r" [A-Za-z]{2,}|[A-Z][a-z]+| ?[^\w\s]{1,2}")


def _printable_bytes() -> dict[int, str]:
    """GPT-2's visible stand-in for each byte: itself where it prints, else a code from 256 on."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}


_BYTES: Final = _printable_bytes()


def _visible(text: str) -> str:
    return "".join(_BYTES[b] for b in text.encode())


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens in order of their ids, and the way from text to ids."""

    tokens: tuple[str, ...]
    ids: Mapping[str, int]

    def encode(self, text: str) -> list[int]:
        """The ids of plain text; marks such as `<|im_end|>` are not recognised in it."""
        found: list[int] = []
        for piece in _PIECES.findall(text):
            seen = _visible(piece)
            whole = self.ids.get(seen)
            found.extend([whole] if whole is not None else (self.ids[c] for c in seen))
        return found


def build(texts: Iterable[str], least: int) -> Vocabulary:
    """The vocabulary of a corpus: each word that it has at least `least` times."""
    counts = Counter(p for text in texts for p in _PIECES.findall(text))
    words = sorted(w for w, n in counts.items() if n >= least and _WHOLE.fullmatch(w))
    letters = [_BYTES[b] for b in range(256)]
    whole = [_visible(w) for w in words if len(w) > 1]
    tokens = tuple(dict.fromkeys([*letters, *BARE, *whole, *SPECIALS]))
    return Vocabulary(tokens, {token: i for i, token in enumerate(tokens)})
