"""How soon a deployment says its first word: what is known of it, and of what still waits for one.

Of a deployment that has never answered nothing is known, which is not that it is fast: until it
speaks it is taken to be like the others. And who waits tells too: while a call is under way and
nothing is heard, the deployment's latency is at least that long, and a call that was given up
without a word says the same. Without that a deployment that hangs would look like the idlest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

SMOOTH = 0.2
"""The weight of the newest first word."""
NOMINAL = 1.0
"""Seconds until the first word, where nothing is known of any deployment."""
LEAST = 1e-6
"""Seconds that a first word is taken to take: a clock may not tell."""
LATE, LATE_FROM = 3.0, 0.25
"""Times the usual wait, and seconds at the least, from which a wait without a word is late."""
IN_VAIN = 2
"""Late calls in a row that were given up without a word, before the deployment is said to hang."""


class Pace:
    """One deployment's, with calls of one kind: the first word of a plain reply is the whole of it,
    and tells nothing of streams. Calls are told apart by whatever object stands for them; times are
    monotonic seconds, and go up from one call of a method to the next."""

    __slots__ = ("_heard_at", "_unheard", "at_least", "in_vain", "known")

    def __init__(self) -> None:
        self.known = 0.0
        """Seconds until the first word, smoothed; 0 while nothing is known."""
        self.at_least = 0.0
        """The longest wait in vain since a word was heard."""
        self.in_vain = 0
        """Waits in vain since a word was heard."""
        self._unheard: dict[object, float] = {}
        self._heard_at = -inf

    def sent(self, call: object, now: float) -> None:
        """A call leaves."""
        self._unheard[call] = now

    def heard(self, call: object, now: float) -> None:
        """Its first word is here."""
        seconds = now - self._unheard.pop(call)
        seconds = seconds if seconds > LEAST else LEAST  # noqa: FURB136 (hot: no call)
        self.known = self.known + SMOOTH * (seconds - self.known) if self.known else seconds
        self._heard_at = now
        self.at_least, self.in_vain = 0.0, 0

    def left(self, call: object, now: float) -> float:
        """It is over: for how long had it waited for its first word? 0 where that had come, or the
        call had not left."""
        sent = self._unheard.pop(call, None)
        return 0.0 if sent is None else now - sent

    def waited_in_vain(self, seconds: float) -> None:
        """Such a wait was late."""
        self.at_least = max(self.at_least, seconds)
        self.in_vain += 1

    def silent(self, now: float) -> float:
        """For how long has nothing been heard, while somebody waited for the first word? A long
        wait beside others that were answered is one long answer, and no silence."""
        oldest = next(iter(self._unheard.values()), None)
        return 0.0 if oldest is None else now - max(oldest, self._heard_at)

    def expected(self, now: float, usual: float) -> float:
        """How long the first word of one more call is expected to take; `usual` is how long it
        takes elsewhere."""
        return max(self.known or usual, self.at_least, self.silent(now))


def usual(own: Pace, others: Sequence[Pace]) -> float:
    """Return how long the first word takes with others, on average; where that is not known with
    itself, and else what is taken for it."""
    known = [each.known for each in others if each.known]
    return sum(known) / len(known) if known else own.known or NOMINAL


def is_late(waited: float, usually: float) -> bool:
    """Has a first word been waited for clearly longer than it usually takes?"""
    return waited > LATE_FROM and waited > LATE * usually


def hangs(own: Pace, others: Sequence[Pace]) -> bool:
    """Is it silent, call after call, while another answers?"""
    return own.in_vain >= IN_VAIN and any(each.known and not each.in_vain for each in others)
