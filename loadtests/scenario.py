"""A scenario: a file of YAML that says what is sent, when, and what goes wrong meanwhile.

    about: one sentence
    upstream: {kind: instant}            # or kind: simulated, with first_token, per_token, sigma
    gateway: {...}                       # put over the usual configuration, key by key
    classes:
      easy: {weight: 8, model: waterfall, prompt: 400, stream: false, ...}
    phases:
      - {name: steady, seconds: 20, arrivals: {poisson: 50}, ...}
    bounds:                              # what has to hold; a figure's path in the report
      - {figure: phases.steady.all.latency.p99, at_most: 50}
    short: 0.1                           # what `--short` makes of seconds and of `together`

Strict: an unknown key is an error that names the file and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from random import Random
from typing import Any

import orjson

from loadtests.arrivals import ScenarioError, arrivals, read_yaml
from loadtests.openloop import Kind

FOLDER = Path(__file__).parent / "scenarios"


@dataclass(frozen=True, slots=True)
class Class:
    """A class of requests.

    weight: its share of a phase's arrivals. prompt: characters. simulate: model -> fault, for the
    simulated upstream. leave: seconds after which its client hangs up, from and to. pause: seconds
    between a slow reader's reads. pace: milliseconds first/gap/chunks, for the instant upstream.
    within: seconds in which its reply is good. max_tokens, logprobs: as in the body.
    """

    weight: float = 1.0
    model: str = "waterfall"
    prompt: int = 400
    stream: bool = False
    simulate: Mapping[str, str] = field(default_factory=dict)
    leave: Sequence[float] | None = None
    pause: float = 0.0
    pace: str | None = None
    within: float = 10.0
    max_tokens: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time. `simulate` is added to every class's own; `weights` replace theirs;
    `reload` asks the gateway to read its configuration anew every so many seconds."""

    name: str
    seconds: float
    arrivals: Mapping[str, Any]
    simulate: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    reload: float | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure has to be; `times` another figure, where that is named. `quiet`: of a quiet
    machine and the whole length only, because it is about time or memory."""

    figure: str
    at_most: float | None = None
    at_least: float | None = None
    times: str | None = None
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, read. `short` is the factor of its short form."""

    name: str
    about: str
    classes: Mapping[str, Class]
    phases: Sequence[Phase]
    upstream: Mapping[str, Any] = field(default_factory=lambda: {"kind": "simulated"})
    gateway: Mapping[str, Any] = field(default_factory=dict)
    bounds: Sequence[Bound] = ()
    short: float = 0.1
    seed: int = 1


def load(name: str) -> Scenario:
    """Read a scenario by its name or its path. Raises ScenarioError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.exists():
        raise ScenarioError(f"no scenario {name!r}: one of {', '.join(names())}, or a file")
    return read(read_yaml(path), path.stem, str(path))


def names() -> list[str]:
    """List the scenarios there are."""
    return sorted(each.stem for each in FOLDER.glob("*.yaml"))


def read(told: Mapping[str, Any], name: str, where: str) -> Scenario:
    """Read one. Raises ScenarioError."""
    top = {**told}
    classes = _mapping(top.pop("classes", None), f"{where}: classes")
    phases, bounds = top.pop("phases", None), top.pop("bounds", [])
    if not isinstance(phases, list) or not phases or not classes:
        raise ScenarioError(f"{where}: wants classes and a list of phases")
    known = {key: made(Class, value, f"{where}: classes.{key}") for key, value in classes.items()}
    scenario: Scenario = made(
        Scenario,
        {
            **top,
            "name": name,
            "classes": known,
            "phases": [made(Phase, p, f"{where}: phases[{i}]") for i, p in enumerate(phases)],
            "bounds": [made(Bound, b, f"{where}: bounds[{i}]") for i, b in enumerate(bounds)],
        },
        where,
    )
    for phase in scenario.phases:
        if strange := set(phase.weights) - set(known):
            raise ScenarioError(f"{where}: phase {phase.name}: no class {min(strange)!r}")
        _check_arrivals(phase, where)
    if scenario.upstream.get("kind") not in {"instant", "simulated"}:
        raise ScenarioError(f"{where}: upstream.kind is instant or simulated")
    return scenario


def _check_arrivals(phase: Phase, where: str) -> None:
    if len(phase.arrivals) != 1:
        raise ScenarioError(f"{where}: phase {phase.name}: arrivals want exactly one kind")
    ((kind, value),) = phase.arrivals.items()
    try:
        arrivals(kind, value, min(phase.seconds, 0.1), 1)
    except ScenarioError as error:
        raise ScenarioError(f"{where}: phase {phase.name}: {error}") from error


def _mapping(told: object, where: str) -> Mapping[str, Any]:
    if not isinstance(told, Mapping):
        raise ScenarioError(f"{where}: wants a mapping")
    return told


def made(of: Any, told: object, where: str) -> Any:
    """Make a value of a mapping; strange and missing keys are errors."""
    given = _mapping(told, where)
    known = [each.name for each in fields(of)]
    if strange := [str(key) for key in given if key not in known]:
        raise ScenarioError(f"{where}: no key {strange[0]!r}: one of {', '.join(known)}")
    try:
        return of(**given)
    except TypeError as error:
        raise ScenarioError(f"{where}: {str(error).partition(') ')[2] or error}") from error


def shortened(scenario: Scenario) -> Scenario:
    """Make the short form: a factor fewer seconds, and as much fewer of `together`."""

    def less(phase: Phase) -> Phase:
        ((kind, value),) = phase.arrivals.items()
        if kind == "together":
            value = max(4, round(value * scenario.short))
        seconds = max(0.3, phase.seconds * scenario.short)
        reload = phase.reload and min(phase.reload, seconds / 3)
        return Phase(phase.name, seconds, {kind: value}, phase.simulate, phase.weights, reload)

    known = {each.name: getattr(scenario, each.name) for each in fields(Scenario)}
    return Scenario(**{**known, "phases": [less(each) for each in scenario.phases]})


def plan(scenario: Scenario, phase: Phase, number: int) -> list[tuple[float, Kind]]:
    """Lay out a phase: when, and what. The same scenario and seed give the same plan."""
    kinds = {name: kind(name, each, phase.simulate) for name, each in scenario.classes.items()}
    weights = {name: each.weight for name, each in scenario.classes.items()} | dict(phase.weights)
    dice = Random(scenario.seed * 1000 + number)
    ((how, value),) = phase.arrivals.items()
    laid = arrivals(how, value, phase.seconds, scenario.seed * 1000 + number)
    drawn = dice.choices(list(weights), list(weights.values()), k=len(laid))
    for each in laid:
        if each.name is not None and each.name not in kinds:
            raise ScenarioError(f"the trace names a class {each.name!r} that is not there")
    return [(each.at, kinds[each.name or name]) for each, name in zip(laid, drawn, strict=True)]


def kind(name: str, of: Class, simulate: Mapping[str, str]) -> Kind:
    """Make a class ready to be sent."""
    pace = f" pace={of.pace}" if of.pace else ""
    body: dict[str, Any] = {
        "model": of.model,
        "messages": [{"role": "user", "content": _text(of.prompt, Random(name)) + pace}],
    }
    if of.stream:
        body["stream"] = True
    if of.max_tokens:
        body["max_tokens"] = of.max_tokens
    if faults := {**of.simulate, **simulate}:
        body["simulate"] = faults
    leave = (float(of.leave[0]), float(of.leave[1])) if of.leave else None
    headers = tuple((n.encode(), v.encode()) for n, v in of.headers.items())
    return Kind(name, orjson.dumps(body), headers, leave, of.pause, of.within)


_WORDS = (
    "the copper harbour of a northern city, its lanterns and orchards; how many tonnes were "
    "shipped in a year, by whom and why? explain the quiet river, compare prices, then say what "
    "changed between seasons: meadow slate pebble engine ledger winter market"
).split()


def _text(length: int, dice: Random) -> str:
    words, size = [], 0
    while size < length:
        words.append(dice.choice(_WORDS))
        size += len(words[-1]) + 1
    return " ".join(words)[:length]
