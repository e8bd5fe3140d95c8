"""What may be used of something in a time, by several processes at once: drawn in blocks, used up
or given back. Units are whole: requests, tokens, calls under way, nano-dollars.

An *allowance* is kept in one place, its pool; whoever serves requests is a *holder*, and draws a
block from the pool when what it holds does not do. There are three kinds:

rate    refills by so many units a second; what is used is gone (token bucket)
budget  holds so much for a period; what is used is gone until the next one
slots   holds so much; what is in use comes back

A budget's and slots' holder states everything anew at each draw (what it has used in all, what it
keeps), so that a lost answer, an answer given twice or a pool that has forgotten everything mends
itself at the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FOLD = 3600.0
"""Seconds after its lease that a holder is remembered by name; then only what it had used is."""
_BLOCKS = 20
"""A block is this part of an allowance, and never less than what a request needs."""


@dataclass(frozen=True, slots=True)
class Terms:
    """An allowance: how many units there are, and for a rate how many come back a second."""

    kind: Literal["rate", "budget", "slots"]
    capacity: int
    per_second: float = 0.0

    @property
    def block(self) -> int:
        """How much a holder draws at a time, where a request needs no more."""
        return max(1, self.capacity // _BLOCKS)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a holder says and wants. `used` is all that it has used since it began, `kept` what it
    holds (rates have neither: `back` is what it gives back of one, below 0 what it owes). It wants
    `want` units, and nothing if there are not `least`."""

    holder: str
    used: int = 0
    kept: int = 0
    back: int = 0
    want: int = 0
    least: int = 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of it: `granted` units; `left` are still there, below 0 where more was used than
    there was; `wait` is after how many seconds a rate will have `least`."""

    granted: int
    left: int
    wait: float = 0.0


# ------------------------------------------------------------------ rates


@dataclass(frozen=True, slots=True)
class Bucket:
    """A rate's pool: the units in it `at` a time, in seconds."""

    level: float
    at: float


def draw_rate(bucket: Bucket | None, terms: Terms, ask: Ask, now: float) -> tuple[Bucket, Drawn]:
    """Fill the bucket up to `now`, and draw from it. One that is not there is full; a clock that
    went back fills nothing."""
    level = float(terms.capacity)
    if bucket is not None:
        level = bucket.level + max(0.0, now - bucket.at) * terms.per_second
    level = min(level + ask.back, float(terms.capacity))
    there = int(level // 1)
    granted = min(ask.want, there) if there >= ask.least else 0
    wait = max(0.0, (ask.least - level) / terms.per_second) if there < ask.least else 0.0
    return Bucket(level - granted, now), Drawn(granted, there - granted, wait)


# ------------------------------------------------------------------ budgets and slots


@dataclass(frozen=True, slots=True)
class Share:
    """What one holder has `used` and `kept`; its lease is over at `until`, in seconds."""

    used: int
    kept: int
    until: float


@dataclass(frozen=True, slots=True)
class Pool:
    """A budget's or slots' pool: `closed` was used by holders that are gone."""

    closed: int = 0
    shares: Mapping[str, Share] = field(default_factory=dict)

    @property
    def claimed(self) -> int:
        """Everything that is used or kept."""
        return self.closed + sum(share.used + share.kept for share in self.shares.values())


def draw_pool(pool: Pool, terms: Terms, ask: Ask, now: float, lease: float) -> tuple[Pool, Drawn]:
    """Take down what the holder states, and let it draw for `lease` seconds.

    Where a lease has ended, nobody can say what became of what was kept: of a budget it counts as
    used (until the holder comes back and says otherwise), of slots as free.
    """
    closed, shares = pool.closed, {}
    for name, share in pool.shares.items():
        if name == ask.holder:
            continue
        mine = share if share.until > now else _lapsed(share, terms)
        if mine.until + FOLD > now:
            shares[name] = mine
        else:
            closed += mine.used
    free = terms.capacity - Pool(closed, shares).claimed - ask.used - ask.kept
    granted = min(ask.want, free) if 0 < ask.least <= free else 0
    shares[ask.holder] = Share(ask.used, ask.kept + granted, now + lease)
    return Pool(closed, shares), Drawn(granted, free - granted)


def _lapsed(share: Share, terms: Terms) -> Share:
    used = share.used + share.kept if terms.kind == "budget" else share.used
    return Share(used, 0, share.until)


# ------------------------------------------------------------------ holders


class Holding:
    """What one holder has of one allowance. `held` is free to be reserved, below 0 where more was
    used than had been reserved; `reserved` is somebody's; `used` is a budget's, in all."""

    __slots__ = ("_last", "_names", "_said", "held", "known", "reserved", "terms", "used")

    def __init__(self, terms: Terms) -> None:
        """Begin with nothing in hand."""
        self.terms = terms
        self.held = self.reserved = self.used = 0
        self.known: Pool | Bucket | None = None
        """The pool as it was known last, without this holder's own share: to go on by, as long as
        nobody can be asked."""
        self._last: float | None = None
        self._said = self._names = 0

    def reserve(self, units: int) -> bool:
        """Put units aside, if there are as many in hand."""
        if self.held < units:
            return False
        self.force(units)
        return True

    def force(self, units: int) -> None:
        """Put units aside whether or not they are there."""
        self.held -= units
        self.reserved += units

    def settle(self, units: int, used: int) -> None:
        """Of `units` put aside so many were used, perhaps more; the rest is free again."""
        self.reserved -= units
        if self.terms.kind == "slots":
            used = 0
        elif self.terms.kind == "budget":
            self.used += used
        self.held += units - used

    @property
    def idle(self) -> bool:
        """Is there nothing in hand, nor anything to tell the pool?"""
        return not (self.held or self.reserved or self.used != self._said)

    def ask(self, holder: str, need: int, now: float, *, most: int = 0, keep: bool = True) -> Ask:
        """Write down what to ask the pool for, so that at least `need` units are in hand then, and
        `most` where there are as many; with a `need` of 0, nothing. What is free is given back
        unless told to `keep` it.

        What is given back, or owed, is the pool's from here on. Whoever has not been heard of for
        too long to be remembered states only what the pool does not know, under another name.
        """
        if self._last is not None and now - self._last > FOLD / 2:
            self.used -= self._said
            self._said, self._names, self._last = 0, self._names + 1, now
        back = self.held if self.held < 0 or not keep else 0
        self.held -= back
        least = max(0, need - self.held)
        want = max(least, self.terms.block, most - self.held) if least else 0
        name = f"{holder}.{self._names}" if self._names else holder
        if self.terms.kind == "rate":
            return Ask(name, back=back, want=want, least=least)
        return Ask(name, self.used, self.reserved + self.held, want=want, least=least)

    def take(self, ask: Ask, drawn: Drawn, now: float, *, heard: bool = True) -> None:
        """Take in hand what came of `ask`. Not `heard` by the pool, it is to be said again."""
        self.held += drawn.granted
        if heard:
            self._said, self._last = ask.used, now
        if self.terms.kind == "rate":
            self.known = Bucket(drawn.left, now)
        else:
            own = ask.used + ask.kept + drawn.granted
            self.known = Pool(self.terms.capacity - drawn.left - own)

    def unheard(self, ask: Ask) -> None:
        """Nobody answered: what is owed still is. What was given back of a rate may have arrived,
        and comes back with time if it has not."""
        if self.terms.kind == "rate":
            self.held += min(ask.back, 0)
