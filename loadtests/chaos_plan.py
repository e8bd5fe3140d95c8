"""What befalls a gateway in a random-fault run, and when: decided before the run, from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from loadtests import mix
from loadtests.arrivals import arrivals

What = Literal["kill", "database", "redis", "stall", "flood", "reload"]


@dataclass(frozen=True, slots=True)
class Blow:
    """Something that happens `at` seconds into the run, and lasts for `seconds`; `whom` names an
    upstream, `size` is how many requests come at once."""

    at: float
    what: What
    seconds: float = 0.0
    whom: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """A request, and when it is sent, in seconds into the run."""

    at: float
    ask: mix.Ask


def blows(seconds: float, seed: int, *, redis: bool) -> list[Blow]:
    """Lay out what happens in a run of so many seconds, in order.

    A worker is killed once in each minute (in each third of a shorter run); the database is away
    once, and so is the Redis where there is one; an upstream says nothing for a while, a flood
    comes, and the configuration is read anew, each about once a minute.
    """
    dice = random.Random(seed)
    minute = min(60.0, seconds / 3)
    found = [
        Blow(dice.uniform(0.3, 0.45) * seconds, "database", min(30.0, seconds / 5)),
        *([Blow(dice.uniform(0.6, 0.7) * seconds, "redis", min(20.0, seconds / 6))] * redis),
    ]
    for began in _minutes(seconds, minute):
        for what in ("kill", "stall", "flood", "reload"):
            at = began + dice.uniform(0.1, 0.9) * minute
            found.append(_blow(what, at, minute, dice))  # type: ignore[arg-type]
    return sorted(found, key=lambda blow: blow.at)


def _minutes(seconds: float, minute: float) -> Iterator[float]:
    return (each * minute for each in range(round(seconds / minute)))


def _blow(what: What, at: float, minute: float, dice: random.Random) -> Blow:
    if what == "stall":
        upstream = dice.choice(sorted(set(mix.UPSTREAMS.values())))
        return Blow(at, what, dice.uniform(0.01, 0.05) * minute, upstream)
    if what == "flood":
        return Blow(at, what, size=round(dice.uniform(2, 5) * minute))
    return Blow(at, what)


def load(seconds: float, rate: float, seed: int, happens: list[Blow]) -> list[Due]:
    """Lay out the requests: `rate` a second at random moments, and the floods at theirs."""
    times = [each.at for each in arrivals("poisson", rate, seconds, seed)]
    times += [blow.at for blow in happens if blow.what == "flood" for _ in range(blow.size)]
    asked = mix.asks(len(times), seed, "x")
    return [Due(at, each) for at, each in zip(sorted(times), asked, strict=True)]
