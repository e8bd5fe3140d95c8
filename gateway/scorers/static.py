"""Static word vectors, distilled offline from all-MiniLM-L6-v2.

The table is data beside this file: 8-bit integers, so that every sum of them is exact. See
`router_models/difficulty/distil.py` for how it is made.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int8]
DIMENSIONS: Final = 128
FOLDER: Final = Path(__file__).resolve().parent / "static"
TABLE: Final = "vectors.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Static:
    """Places of lower-cased words in the (N, DIMENSIONS) vectors; `digest` is the file's SHA-256.

    The encoder's vocabulary is its commoner words, the shorter ones whole: what it would put
    together from pieces has no vector here, which measurably costs nothing.
    """

    places: Mapping[bytes, int]
    vectors: Whole
    digest: str

    def embed(self, words: Sequence[bytes]) -> Whole:
        """Return (N, DIMENSIONS) vectors of words; zeros for one that has none."""
        found = np.zeros((len(words), self.vectors.shape[1]), np.int8)
        known = [row for row, word in enumerate(words) if word in self.places]
        found[known] = self.vectors[[self.places[words[row]] for row in known]]
        return found


@cache
def static() -> Static:
    """Return the table that ships with the gateway, read once a process."""
    packed = (FOLDER / TABLE).read_bytes()
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        words = arrays["words"].tobytes().split(b"\n")
        vectors = np.array(arrays["vectors"], np.int8)
    places = {word: place for place, word in enumerate(words)}
    return Static(places, vectors, hashlib.sha256(packed).hexdigest())


def write_static(folder: Path, words: Sequence[bytes], vectors: Whole) -> str:
    """Write a table; returns its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = io.BytesIO()
    names = np.frombuffer(b"\n".join(words), np.uint8)
    np.savez_compressed(packed, allow_pickle=False, words=names, vectors=vectors)
    (folder / TABLE).write_bytes(packed.getvalue())
    return hashlib.sha256(packed.getvalue()).hexdigest()
