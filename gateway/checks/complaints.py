"""What a program says to its standard error when it does not pass a reply, for the log.

Python ends with 1 when an exception is not caught, which is a fail: a program that breaks on every
reply would only be seen to fail all of them.
"""

from __future__ import annotations

import logging
import time
from typing import Final

TOLD: Final = 2_000
"""Bytes that are kept: the first."""
_LINES: Final = 5
_LENGTH: Final = 200
_PAUSE: Final = 60.0

_log = logging.getLogger("waterfall")


class Complaints:
    """Logs the first lines of what one check's program says, once a minute at most."""

    def __init__(self, name: str) -> None:
        """`name` is the check's."""
        self._name = name
        self._next = float("-inf")

    def tell(self, code: int, errors: bytes) -> None:
        """Log it, unless there is nothing or something was logged a moment ago."""
        now = time.monotonic()
        said = first_lines(errors)
        if not said or now < self._next:
            return
        self._next = now + _PAUSE
        told = "The program of the check %s ended with %d and said: %s"
        _log.warning(told, self._name, code, said)


def first_lines(errors: bytes) -> str:
    """The first few lines that say something, as one, each cut short, and printable."""
    lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines()]
    kept = [line[:_LENGTH] for line in lines if line][:_LINES]
    return "".join(each if each.isprintable() else "?" for each in " | ".join(kept))
