"""An archive in memory, traffic to fill it with, and routes and scorers to tune."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from gateway.core.difficulty import Difficulty, start_index
from gateway.core.plan import Tier
from gateway.core.ports import Labelled, Scored
from gateway.core.ranks import reference_of
from gateway.core.routing import Route, Target
from gateway.tuning import Keeper

SMALL, LARGE = Tier("small", "near", "mini"), Tier("large", "far", "maxi")
STEADY = tuple(0.1 for _ in range(10))


def route(target=None, threshold=None, **changes):
    start = threshold if threshold is not None else (target.start if target else 0.8)
    return Route("w", (SMALL, LARGE), thresholds=(start,), target=target, **changes)


def share(part, window=1000):
    return Target(share=part, window=window)


def quality(part, confidence=None, until=0.0):
    return Target(quality=part, confidence=confidence, until=until)


@dataclass
class Gains:
    """A scorer of gains whose reference is the even traffic from 0 to 1."""

    label: str = "gains@1"
    reference: tuple = reference_of([0.0, 1.0])
    watched: dict = field(default_factory=dict)
    unlike_share: float = 0.01

    def score(self, signals):
        raise NotImplementedError


class Bare:
    """A scorer that knows nothing of traffic, such as rules."""

    label = "bare@1"

    def score(self, signals):
        raise NotImplementedError


class Memory:
    """Fits core.ports.Archive."""

    def __init__(self):
        self.scored = {}
        self.labels = {}
        self.rows = []
        self.reads = 0
        self.broken = False
        self.before_put = lambda: None
        self.stamped = None

    def stamp(self):
        return self.stamped

    def _ready(self):
        self.reads += 1
        if self.broken:
            raise OSError("the ledger is locked")

    def recent(self, route, scorer, limit):
        self._ready()
        return self.scored.get((route, scorer), [])[-limit:]

    def has_scored(self, route, scorer, after, many):
        self._ready()
        rows = self.scored.get((route, scorer), [])
        return sum(row.number > after for row in rows) >= many

    def labelled(self, route, scorer, limit):
        self._ready()
        return self.labels.get((route, scorer), [])[-limit:]

    def tunings(self):
        self._ready()
        return {row.route: row for row in self.rows}

    def put_tuning(self, row, after):
        self._ready()
        self.before_put()
        newest = max((each.number for each in self.rows if each.route == row.route), default=0)
        if newest != after:
            return False
        self.rows.append(replace(row, number=len(self.rows) + 1))
        return True


class World:
    """One gateway with some keepers, and traffic that goes through the first of them."""

    def __init__(self, chosen, scorer=None, keepers=1, seed=1):
        self.archive, self.route, self.scorer = Memory(), chosen, scorer or Gains()
        self.now, self.number, self.chance = 1000.0, 0, random.Random(seed)
        self.keepers = []
        for _ in range(keepers):
            self.open()

    def open(self):
        """Start another process."""
        keeper = Keeper(self.archive, lambda: self.now)
        self.keepers.append(keeper)
        self.reload(keeper)
        return keeper

    def reload(self, keeper=None, chosen=None, scorer=None):
        self.route, self.scorer = chosen or self.route, scorer or self.scorer
        for each in [keeper] if keeper else self.keepers:
            each.watch(each.prepare({"w": self.route}, {"w": self.scorer}))

    def tuned(self, place=0):
        return self.keepers[place]._tuned

    def round(self, seconds=11.0):
        """Let every keeper go round; long enough for labels to be looked at."""
        for _ in range(5):
            self.now += seconds / 5
            for keeper in self.keepers:
                keeper.round()

    def ask(self, count, draw=random.Random.random, profile="", unlike=None):
        """Send requests; `draw` makes a score. Return the share that started higher."""
        rows = self.archive.scored.setdefault(("w", self.scorer.label), [])
        above = 0
        for _ in range(count):
            self.number += 1
            score = draw(self.chance)
            difficulty, thresholds = self.apply(score)
            up = start_index(difficulty.value, thresholds) > 0
            above += up
            shown = profile(self.chance) if callable(profile) else profile
            strange = unlike(self.chance) if unlike else None
            value, first = difficulty.value, thresholds[0]
            rows.append(Scored(self.number, score, value, up, first, shown, strange))
        return above / count

    def apply(self, score):
        told = Difficulty(score, scorer=self.scorer.label, score=score)
        return self.tuned().apply(self.route, told)

    def label(self, count, draw=random.Random.random, good=lambda score, chance: True, met=False):
        """Label requests of their own: `good` says whether the small tier was as good."""
        rows = self.archive.labels.setdefault(("w", self.scorer.label), [])
        for _ in range(count):
            self.number += 1
            score = draw(self.chance)
            weak = float(good(score, self.chance))
            rows.append(Labelled(self.number, score, {"small": weak, "large": 1.0}, met))

    def told(self, place=0):
        return self.tuned(place).describe("w")

    def figure(self, name, *labels):
        return self.keepers[0].figures().get(name, {}).get(("w", *labels))


def skewed(chance):
    """Scores that all lie at the lower end."""
    return chance.random() ** 4
