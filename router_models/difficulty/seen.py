"""Which questions an artefact has met: it carries a mark of each, never the question."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from gateway.scorers.artefact import MANIFEST
from router_models.difficulty.duplicates import normal

KEY = "seen"
"""Of a manifest's provenance: marks, joined."""
_LENGTH = 12
"""Hexadecimal digits of a mark: two of a million questions share one about once in 500 times."""


def mark(text: str) -> str:
    """Return a question's mark, the same in any layout."""
    return hashlib.sha256(normal(text).encode("utf-8", "replace")).hexdigest()[:_LENGTH]


def marks(texts: Iterable[str]) -> str:
    """Return the marks of questions as an artefact carries them."""
    return "".join(sorted({mark(text) for text in texts}))


def seen_by(folder: Path) -> frozenset[str]:
    """Return the marks of the questions that an artefact was trained on; none if it says none."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    joined = str(manifest.get("provenance", {}).get(KEY, ""))
    return frozenset(joined[at : at + _LENGTH] for at in range(0, len(joined), _LENGTH))
