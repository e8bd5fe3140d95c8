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
    beside: {...}                        # a second gateway, with this put over the first's
    short: 0.1                           # what `--short` makes of seconds and of `together`

A file that is named in it lies where the scenario does. Strict: what is unknown, of another kind,
or says nothing is an error that names the file, the place and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from loadtests.arrivals import ScenarioError, arrivals, read_trace, read_yaml
from loadtests.figures import blank, figure

FOLDER = Path(__file__).parent / "scenarios"
TOGETHER = 16
"""So many at once stay so many in a short form."""
UPSTREAM = ("first_token", "per_token", "sigma")
"""What a simulated upstream may be told."""

Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]
From = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_NUMBER = TypeAdapter[Any](From)
_PARTS = {"server", "upstreams", "tiers", "routes"}


@dataclass(frozen=True, slots=True)
class Class:
    """A class of requests.

    weight: its share of a phase's arrivals. prompt: characters. simulate: model -> fault, for the
    simulated upstream. leave: seconds after which its client hangs up, from and to. pause: seconds
    between a slow reader's reads. pace: milliseconds first/gap/chunks, for the instant upstream.
    within: seconds in which its reply is good. max_tokens, logprobs: as in the body.
    """

    weight: From = 1.0
    model: str = "waterfall"
    prompt: Annotated[int, Field(ge=1)] = 400
    stream: bool = False
    simulate: Mapping[str, str] = field(default_factory=dict)
    leave: Annotated[Sequence[From], Field(min_length=2, max_length=2)] | None = None
    pause: From = 0.0
    pace: Annotated[str, Field(pattern=r"^\d+/\d+/\d+$")] | None = None
    within: Above = 10.0
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time. `simulate` is added to every class's own; `weights` replace theirs;
    `reload` asks the gateway to read its configuration anew every so many seconds."""

    name: str
    seconds: Above
    arrivals: Mapping[str, Any]
    simulate: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, From] = field(default_factory=dict)
    reload: Above | None = None


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
    """A scenario, read. `short` is the factor of its short form. `beside`, where there is any, is
    put over the configuration of a second gateway, which is sent every phase after the first one
    was; what it did is the report's `beside`."""

    name: str
    about: str
    classes: Mapping[str, Class]
    phases: Sequence[Phase]
    upstream: Mapping[str, Any] = field(default_factory=lambda: {"kind": "simulated"})
    gateway: Mapping[str, Any] = field(default_factory=dict)
    bounds: Sequence[Bound] = ()
    beside: Mapping[str, Any] = field(default_factory=dict)
    short: Annotated[float, Field(gt=0, le=1)] = 0.1
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
    scenario = replace(scenario, phases=[_located(phase, where) for phase in scenario.phases])
    _check_upstream(scenario, where)
    _check_gateway(scenario.gateway, f"{where}: gateway")
    _check_gateway(scenario.beside, f"{where}: beside")
    for phase in scenario.phases:
        _check_phase(scenario, phase, f"{where}: phase {phase.name}")
    if len(set(_names(scenario))) < len(_names(scenario)):
        raise ScenarioError(f"{where}: phases: two of one name")
    for place, bound in enumerate(scenario.bounds):
        _check_bound(scenario, bound, f"{where}: bounds[{place}]")
    return scenario


def _names(scenario: Scenario) -> list[str]:
    return [phase.name for phase in scenario.phases]


def _located(phase: Phase, where: str) -> Phase:
    """Find a trace where the scenario's own file lies."""
    laid = phase.arrivals
    if isinstance(file := laid.get("trace"), str):
        laid = {**laid, "trace": str(Path(where).parent / file)}
    return replace(phase, arrivals=laid)


def _check_upstream(scenario: Scenario, where: str) -> None:
    if scenario.upstream.get("kind") not in {"instant", "simulated"}:
        raise ScenarioError(f"{where}: upstream.kind is instant or simulated")
    known = UPSTREAM if scenario.upstream["kind"] == "simulated" else ()
    if strange := set(scenario.upstream) - {"kind", *known}:
        allowed = ", ".join(("kind", *known))
        raise ScenarioError(f"{where}: upstream: no key {min(strange)!r}: one of {allowed}")
    for name in set(scenario.upstream) - {"kind"}:
        _check_value(_NUMBER, scenario.upstream[name], f"{where}: upstream.{name}")


def _check_gateway(over: Mapping[str, Any], where: str) -> None:
    """Look at what is put over parts that are mappings; the rest the gateway itself refuses."""
    for part in _PARTS & set(over):
        _mapping(over[part], f"{where}.{part}")
    for name, each in over.get("upstreams", {}).items():
        _mapping(each, f"{where}.upstreams.{name}")


def _check_phase(scenario: Scenario, phase: Phase, where: str) -> None:
    classes = scenario.classes
    if strange := set(phase.weights) - set(classes):
        raise ScenarioError(f"{where}: no class {min(strange)!r}")
    if not any(({name: each.weight for name, each in classes.items()} | phase.weights).values()):
        raise ScenarioError(f"{where}: no class has a weight above 0")
    if len(phase.arrivals) != 1:
        raise ScenarioError(f"{where}: arrivals want exactly one kind")
    ((kind, value),) = phase.arrivals.items()
    try:
        if kind == "trace":
            read_trace(Path(str(value)), phase.seconds, classes)
        arrivals(kind, value, min(phase.seconds, 0.1), 1)
    except ScenarioError as error:
        raise ScenarioError(f"{where}: {error}") from error


def _check_bound(scenario: Scenario, bound: Bound, where: str) -> None:
    if bound.at_most is None and bound.at_least is None:
        raise ScenarioError(f"{where}: wants at_most, at_least, or both")
    for path in filter(None, (bound.figure, bound.times)):
        try:
            figure(full(scenario), path)
        except ScenarioError as error:
            raise ScenarioError(f"{where}: {error}") from error


def full(scenario: Scenario, *, watched: bool = True) -> dict[str, Any]:
    """Write a report with every figure that a run may have; `watched`: of gateways started here."""
    return blank(_names(scenario), scenario.classes, watched=watched, beside=bool(scenario.beside))


def _mapping(told: object, where: str) -> Mapping[str, Any]:
    if not isinstance(told, Mapping):
        raise ScenarioError(f"{where}: wants a mapping")
    return told


def made(of: Any, told: object, where: str) -> Any:
    """Make a value of a mapping; a strange or missing key, a value of another kind is an error."""
    given = _mapping(told, where)
    known = [each.name for each in fields(of)]
    if strange := [str(key) for key in given if key not in known]:
        raise ScenarioError(f"{where}: no key {strange[0]!r}: one of {', '.join(known)}")
    for name, adapter in _adapters(of).items():
        if name in given:
            _check_value(adapter, given[name], f"{where}{'.' if ': ' in where else ': '}{name}")
    try:
        return of(**given)
    except TypeError as error:
        raise ScenarioError(f"{where}: {str(error).partition(') ')[2] or error}") from error


@cache
def _adapters(of: Any) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(of, include_extras=True)
    return {each.name: TypeAdapter(hints[each.name]) for each in fields(of)}


def _check_value(adapter: TypeAdapter[Any], value: object, where: str) -> None:
    """Look at a value; nothing is turned into another kind: "2" is no number."""
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        deeper = "".join(f".{each}" for each in first["loc"])
        said = f"{first['msg'].lower()}, not {first['input']!r}"
        raise ScenarioError(f"{where}{deeper}: {said}") from error


def shortened(scenario: Scenario) -> Scenario:
    """Make the short form: a factor fewer seconds, and as much fewer of `together`."""

    def less(phase: Phase) -> Phase:
        ((kind, value),) = phase.arrivals.items()
        if kind == "together":
            value = min(value, max(TOGETHER, round(value * scenario.short)))
        seconds = max(0.3, phase.seconds * scenario.short)
        reload = phase.reload and min(phase.reload, seconds / 3)
        return replace(phase, seconds=seconds, arrivals={kind: value}, reload=reload)

    return replace(scenario, phases=[less(each) for each in scenario.phases])
