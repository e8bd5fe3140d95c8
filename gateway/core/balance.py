"""Which of several deployments takes a call, and which of them is sent off for a while.

Power of two choices (Mitzenmacher, 2001): of two drawn at random the one that is expected to answer
first, by what it has under way, by its latency and by its recent failures. Where a provider's cache
of prompts pays, a conversation keeps to one (rendezvous hashing: Thaler and Ravishankar, 1998),
unless that has more than its part under way (bounded loads: Mirrokni et al., 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

HALF_LIFE = 5.0
"""Seconds after which an answer counts half."""
KEPT = 0.95
"""What each call leaves of those before it: some twenty are remembered."""
LEAST = 4.0
"""Calls, by that count, before a deployment is said to be an outlier."""
FAILING = 0.3
"""The share of failures of an outlier, at the least ..."""
WORSE = 2.0
"""... and so many times that of the others."""
BOUND = 1.25
"""Times the mean that a deployment with the right cache may have under way."""
TOLERATED = 2.0
DREAD = 2.0
"""How much a deployment that fails all its calls is taken to be slower than it is: failing is
quick, and must not look like being fast."""
EXPLORED = 0.1
"""The share of calls that go to any deployment: what is known of one that nobody asks grows old."""


class Recent:
    """What came of a deployment's recent calls; older ones fade. Times are monotonic seconds."""

    __slots__ = ("_at", "calls", "failed")

    def __init__(self) -> None:
        self._at = 0.0
        self.calls = self.failed = 0.0

    def note(self, now: float, *, failed: bool) -> None:
        """Count a call that ended."""
        faded: float = KEPT * 0.5 ** ((now - self._at) / HALF_LIFE)
        self._at = now
        self.calls = self.calls * faded + 1.0
        self.failed = self.failed * faded + failed

    def forget(self) -> None:
        """Begin anew."""
        self.calls = self.failed = 0.0

    @property
    def share(self) -> float:
        """The share that failed."""
        return self.failed / self.calls if self.calls else 0.0


def is_outlier(own: Recent, others: Sequence[Recent]) -> bool:
    """Does a deployment fail so much more than the others that it is better sent off?

    Where there are no others, or nothing is known of them, it is not: somebody has to serve.
    """
    calls = sum(other.calls for other in others)
    if own.calls < LEAST or own.share < FAILING or calls < 1.0:
        return False
    return own.share >= WORSE * sum(other.failed for other in others) / calls


def load(in_flight: int, latency: float, failing: float) -> float:
    """How long a call there is expected to take, to compare by; `latency` as `Pace.expected`."""
    return (in_flight + 1) * latency * (1.0 + DREAD * failing)


def takes_first(first: float, second: float) -> bool:
    """Of two loads whose deployments were drawn at random, does the first one's take the call?
    Unless it has over twice as much: small differences are noise, and all would follow it."""
    return first <= TOLERATED * second


def draw_two(count: int, chance: float) -> tuple[int, int]:
    """Draw two different places of `count` (two at least), given a chance from 0 to 1."""
    pair = min(int(chance * count * (count - 1)), count * (count - 1) - 1)
    first, second = divmod(pair, count - 1)
    return first, second + (second >= first)


def preferred(key: str, names: Sequence[str]) -> int:
    """Return the place of the deployment that a conversation keeps to, whichever others come and
    go."""
    return max(range(len(names)), key=lambda place: _mixed(f"{key}\0{names[place]}"))


def _mixed(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


def keeps_to(in_flight: int, total: int, count: int) -> bool:
    """May a deployment with so much of the `total` under way be given one more call for the sake
    of its cache, among `count`?"""
    return in_flight + 1 <= BOUND * (total + 1) / count + 1
