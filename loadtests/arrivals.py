"""When requests are sent: decided before the run, from a seed or a trace, whatever the answers do.

An open loop. A client that waits for a reply before it sends the next request measures nothing
while the server stands still; here the times are fixed and latency counts from them.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class ScenarioError(ValueError):
    """A scenario that cannot be run: says what, where, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request to be sent `at` seconds into its phase; a trace may name its class."""

    at: float
    name: str | None = None


def arrivals(kind: str, value: object, seconds: float, seed: int) -> list[Arrival]:
    """Lay out a phase of `seconds`: the arrivals in order.

    kind and value: `constant: RATE`, `poisson: RATE` (a second), `burst: {every: S, size: N}`,
    `together: N` (all at once), `ramp: {from: RATE, to: RATE}` (Poisson, rising linearly),
    `trace: FILE` (lines of JSON with `at` in seconds and perhaps `class`). Raises ScenarioError.
    """
    if kind not in KINDS:
        raise ScenarioError(f"no arrivals {kind!r}: one of {', '.join(KINDS)}")
    laid = sorted(KINDS[kind](value, seconds, random.Random(seed)), key=lambda each: each.at)
    return [each for each in laid if each.at < seconds]


def _constant(value: object, seconds: float, _dice: random.Random) -> Iterator[Arrival]:
    rate = _rate(value, "constant")
    return (Arrival(place / rate) for place in range(int(seconds * rate)))


def _poisson(value: object, seconds: float, dice: random.Random) -> Iterator[Arrival]:
    rate = _rate(value, "poisson")
    at = dice.expovariate(rate)
    while at < seconds:
        yield Arrival(at)
        at += dice.expovariate(rate)


def _burst(value: object, seconds: float, _dice: random.Random) -> Iterator[Arrival]:
    every, size = _pair(value, "burst", "every", "size")
    for place in itertools.count():
        if place * every >= seconds:
            return
        yield from itertools.repeat(Arrival(place * every), int(size))


def _together(value: object, _seconds: float, _dice: random.Random) -> Iterator[Arrival]:
    return itertools.repeat(Arrival(0.0), int(_rate(value, "together")))


def _ramp(value: object, seconds: float, dice: random.Random) -> Iterator[Arrival]:
    """Poisson of a rising rate, by thinning (Lewis and Shedler, 1979)."""
    first, last = _pair(value, "ramp", "from", "to")
    most, at = max(first, last), 0.0
    while (at := at + dice.expovariate(most)) < seconds:
        if dice.random() * most < first + (last - first) * at / seconds:
            yield Arrival(at)


def _trace(value: object, _seconds: float, _dice: random.Random) -> Iterator[Arrival]:
    path = Path(str(value))
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            told = json.loads(line)
            yield Arrival(float(told["at"]), told.get("class"))
        except (ValueError, KeyError, TypeError) as error:
            raise ScenarioError(f'{path}:{number}: wants {{"at": seconds, "class"?}}') from error


def _rate(value: object, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ScenarioError(f"{kind}: wants a number above 0, not {value!r}")
    return float(value)


def _pair(value: object, kind: str, *names: str) -> list[float]:
    if not isinstance(value, Mapping) or set(value) != set(names):
        raise ScenarioError(f"{kind}: wants {{{', '.join(names)}}}, not {value!r}")
    return [_rate(value[name], f"{kind}: {name}") for name in names]


KINDS: Mapping[str, Callable[[object, float, random.Random], Iterator[Arrival]]] = {
    "constant": _constant,
    "poisson": _poisson,
    "burst": _burst,
    "together": _together,
    "ramp": _ramp,
    "trace": _trace,
}


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping. Raises ScenarioError naming the file."""
    try:
        told = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    if not isinstance(told, dict):
        raise ScenarioError(f"{path}: wants a mapping")
    return told
