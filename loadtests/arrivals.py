"""When requests are sent: decided before the run, from a seed or a trace, whatever the answers do.

An open loop. A client that waits for a reply before it sends the next request measures nothing
while the server stands still; here the times are fixed and latency counts from them.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable, Container, Iterator, Mapping
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


def arrivals(kind: str, value: object, seconds: float, seed: int | str) -> list[Arrival]:
    """Lay out a phase of `seconds`: the arrivals in order, those of a trace up to its end.

    The dice are of arrivals alone: whoever draws something else of the same seed, a request's class
    say, draws it independently of the time since the request before.

    kind and value: `constant: RATE`, `poisson: RATE` (a second), `burst: {every: S, size: N}`,
    `together: N` (all at once), `ramp: {from: RATE, to: RATE}` (Poisson, rising linearly),
    `trace: FILE` (lines of JSON with `at` in seconds and perhaps `class`). Raises ScenarioError.
    """
    if kind not in KINDS:
        raise ScenarioError(f"no arrivals {kind!r}: one of {', '.join(KINDS)}")
    dice = random.Random(f"{seed}/arrivals")
    laid = sorted(KINDS[kind](value, seconds, dice), key=lambda each: each.at)
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
    return iter(read_trace(Path(str(value))))


def read_trace(
    path: Path, seconds: float = math.inf, names: Container[str] | None = None
) -> list[Arrival]:
    """Read a trace. Raises ScenarioError naming the line that is none, that lies at or after
    `seconds`, or whose class is not of `names`."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"trace: {path}: {error}") from error
    laid = []
    for number, line in enumerate(lines, 1):
        each = _traced(line, f"{path}:{number}")
        if each.at >= seconds:
            raise ScenarioError(f"{path}:{number}: at {each.at:g}: the phase ends at {seconds:g}")
        if names is not None and each.name is not None and each.name not in names:
            raise ScenarioError(f"{path}:{number}: no class {each.name!r}")
        laid.append(each)
    return laid


def _traced(line: str, where: str) -> Arrival:
    wants = f'{where}: wants {{"at": seconds from 0 on, "class"?: name}}'
    try:
        told = json.loads(line)
    except ValueError as error:
        raise ScenarioError(wants) from error
    if not isinstance(told, dict) or not {"at"} <= set(told) <= {"at", "class"}:
        raise ScenarioError(wants)
    at, name = told["at"], told.get("class")
    number = isinstance(at, int | float) and not isinstance(at, bool) and math.isfinite(at)
    if not number or at < 0 or not isinstance(name, str | None):
        raise ScenarioError(wants)
    return Arrival(float(at), name)


def _rate(value: object, kind: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
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
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    if not isinstance(told, dict):
        raise ScenarioError(f"{path}: wants a mapping")
    return told
