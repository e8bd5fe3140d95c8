"""Ids that sort by time: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

from collections.abc import Callable

_RANDOM_BITS = 74
_DRAWN = 10
"""Bytes of randomness that an id takes."""
_STORE = 100 * _DRAWN


def uuid7(unix_ms: int, entropy: int) -> str:
    """Write a UUIDv7 from a UNIX time in milliseconds and at least 74 random bits."""
    random = entropy & ((1 << _RANDOM_BITS) - 1)
    high, low = random >> 62, random & ((1 << 62) - 1)
    value = (unix_ms & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Ids:
    """Draws ids. Randomness is asked for by the hundred: asking for each cost 15 µs in the middle
    of a request, since the system's own source lets another thread have its turn.

    `clock` is UNIX time in nanoseconds, `entropy` returns so many random bytes. An instance is of
    one process: a copy of it in another would draw the same.
    """

    __slots__ = ("_at", "_clock", "_entropy", "_store")

    def __init__(self, clock: Callable[[], int], entropy: Callable[[int], bytes]) -> None:
        self._clock, self._entropy = clock, entropy
        self._store, self._at = b"", 0

    def draw(self) -> str:
        """Return a UUIDv7 of now."""
        if self._at >= len(self._store):
            self._store, self._at = self._entropy(_STORE), 0
        start = self._at
        self._at = start + _DRAWN
        random = int.from_bytes(self._store[start : self._at])
        return uuid7(self._clock() // 1_000_000, random)
