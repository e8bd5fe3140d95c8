"""A phase laid out before it runs: when, of which class, with which prompt.

Three streams of dice, of one seed: when requests come, of which class each is, and which prompt it
has, say nothing about each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from random import Random
from typing import Any

import orjson

from loadtests.arrivals import ScenarioError, arrivals
from loadtests.openloop import Kind
from loadtests.scenario import Class, Phase, Scenario

PROMPTS = 64
"""Different prompts of a class: one alone would flatter whatever keeps what it has seen."""


def plan(scenario: Scenario, phase: Phase, number: int) -> list[tuple[float, Kind]]:
    """Lay out a phase: when, and what. The same scenario and seed give the same plan.

    Raises ScenarioError when nothing at all would be sent.
    """
    seed = f"{scenario.seed}/{number}"
    ((how, value),) = phase.arrivals.items()
    laid = arrivals(how, value, phase.seconds, seed)
    if not laid:
        raise ScenarioError(f"phase {phase.name}: nothing would be sent in {phase.seconds:g} s")
    weights = {name: each.weight for name, each in scenario.classes.items()} | dict(phase.weights)
    classes, prompts = Random(f"{seed}/classes"), Random(f"{seed}/prompts")
    drawn = classes.choices(list(weights), list(weights.values()), k=len(laid))

    @cache
    def made(name: str, prompt: int) -> Kind:
        return kind(name, scenario.classes[name], phase.simulate, prompt)

    return [
        (each.at, made(each.name or name, prompts.randrange(PROMPTS)))
        for each, name in zip(laid, drawn, strict=True)
    ]


def kind(name: str, of: Class, simulate: Mapping[str, str], prompt: int) -> Kind:
    """Make a request of a class ready to be sent, with one of its prompts."""
    pace = f" pace={of.pace}" if of.pace else ""
    text = _text(of.prompt, Random(f"{name}/{prompt}"))
    body: dict[str, Any] = {
        "model": of.model,
        "messages": [{"role": "user", "content": text + pace}],
    }
    if of.stream:
        body["stream"] = True
    if of.max_tokens:
        body["max_tokens"] = of.max_tokens
    if faults := {**of.simulate, **simulate}:
        body["simulate"] = faults
    leave = (float(of.leave[0]), float(of.leave[1])) if of.leave else None
    headers = tuple((n.encode(), v.encode()) for n, v in of.headers.items())
    return Kind(name, orjson.dumps(body), of.stream, headers, leave, of.pause, of.within)


_WORDS = (
    "the copper harbour of a northern city, its lanterns and orchards; how many tonnes were "
    "shipped in a year, by whom and why? explain the quiet river, compare prices, then say what "
    "changed between seasons: meadow slate pebble engine ledger winter market"
).split()


def _text(length: int, dice: Random) -> str:
    """Write so many characters."""
    shortest = min(map(len, _WORDS)) + 1
    return " ".join(dice.choices(_WORDS, k=length // shortest + 1))[:length]
