"""What is wrong with a configuration, in sentences a person can act on, and never with a secret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Trail = tuple[str | int, ...]
"""Where a value stands: the keys and positions that lead to it."""

_SECRETIVE = re.compile(r"key|hash|secret|passw|credential|auth|proxy", re.IGNORECASE)
_TOKEN = re.compile(r"(sk|pk|rk)-.*|(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_+=-]{20,}")
"""What a key looks like, wherever it has slipped to."""
_NAMES_SHOWN = 12
_VALUE_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: the file, the line (None when unknown), the YAML path, and what to do about it."""

    file: str
    path: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        """Write `file:line: path: message`, without the parts that are not known."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (where, self.path, self.message) if part)


class ConfigError(Exception):
    """A configuration that cannot be used; `problems` is everything that is wrong with it, and
    `files` what was looked at: a change to any of them may put it right."""

    def __init__(self, problems: Sequence[Problem], files: Sequence[Path] = ()) -> None:
        """`problems` has at least one entry; each becomes one line of the message."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
        self.files = tuple(files)


class Unsupported(ValueError):
    """A documented key or value that this version does not act on; what was given is no matter."""


def unsupported(instead: str) -> Unsupported:
    """Say that something is not supported, and what to do instead."""
    return Unsupported(f"not supported by this version; {instead}")


def dotted(trail: Trail) -> str:
    """Write a trail the way a person would: `keys[0].hash`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in trail)
    return "".join(steps).removeprefix(".")


def is_secretive(trail: Trail) -> bool:
    """Does the value there have a name that secrets have?"""
    names = [step for step in trail if isinstance(step, str)]
    return bool(names) and _SECRETIVE.search(names[-1]) is not None


def shown(value: Any, *, secret: bool) -> str:
    """Write a value for a message: short, on one line, and as stars when it may be a secret."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if secret or (isinstance(value, str) and _TOKEN.fullmatch(value)):
        return "***"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(str(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}..."


def nearest(name: str, known: Collection[str], what: str = "known") -> str:
    """Name the closest of the known names, or list them all when none is close."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    names = sorted(known)
    more = ", ..." if len(names) > _NAMES_SHOWN else ""
    return f"{what}: {', '.join(names[:_NAMES_SHOWN]) or 'none'}{more}"
