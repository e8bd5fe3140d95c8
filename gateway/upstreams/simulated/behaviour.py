"""How simulated models behave, as values: how good, how long, how fast, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.upstreams.simulated.script import Rule


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, as medians of log-normal distributions; 0 is instant, a sigma of 0 is steady.

    A plain reply takes as long as the same reply streamed.
    """

    first_token: float = 0.0
    first_sigma: float = 0.0
    per_token: float = 0.0
    token_sigma: float = 0.0


@dataclass(frozen=True, slots=True)
class Length:
    """Words of a free reply: log-normal around `median`, from `least` to `most`."""

    median: float = 24.0
    sigma: float = 0.4
    most: int = 400
    least: int = 0


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The probability of a right answer to an easy and to a hard question of the key."""

    easy: float = 1.0
    hard: float = 1.0

    @classmethod
    def read(cls, text: str) -> Accuracy:
        """Read `0.7`, or `0.95/0.4` for easy and hard. Raises ValueError for anything else."""
        easy, _, hard = text.partition("/")
        both = cls(float(easy), float(hard or easy))
        if not all(0 <= share <= 1 for share in (both.easy, both.hard)):
            raise ValueError(f"an accuracy is a probability, not {text!r}")
        return both


@dataclass(frozen=True, slots=True)
class Model:
    """One simulated model.

    `coached` is its accuracy when a system message holds the text it is paired with: what a
    recipe is worth. `context` is its window in tokens; `rejects` names body fields it answers
    with a 400, as servers do that lack a feature.
    """

    accuracy: Accuracy = Accuracy()
    coached: tuple[tuple[str, Accuracy], ...] = ()
    length: Length = Length()
    pace: Pace = Pace()
    context: int | None = None
    rejects: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the key holds for a prompt; `wrong` are likely wrong answers, if it names any."""

    right: str
    hard: bool = False
    wrong: tuple[str, ...] = ()


Answers = Mapping[str, Answer]
"""Prompt (the last user message, stripped) -> answer."""


@dataclass(frozen=True)
class Behaviour:
    """Everything a simulated provider is told.

    With `models` empty every model name is served, as `default`; else an unknown name is a 404.
    Every figure is drawn from `seed`: the same seed, model and messages give the same reply.
    """

    seed: int = 0
    models: Mapping[str, Model] = field(default_factory=dict)
    default: Model = Model()
    answers: Answers = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    def model(self, name: str) -> Model | None:
        """Return the model of that name, None when there is no such."""
        return self.models.get(name) if self.models else self.default


def read_answers(data: Mapping[str, Any]) -> dict[str, Answer]:
    """Read a key: `{prompt: "answer"}` or `{prompt: {"answer", "hard"?, "wrong"?: [...]}}`.

    Raises ValueError naming the prompt whose answer is not one.
    """
    return {prompt.strip(): _answer(prompt, value) for prompt, value in data.items()}


def load_answers(path: Path) -> dict[str, Answer]:
    """Read a key from a JSON file. Raises OSError, or ValueError for what is not a key."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError(f"{path}: an answer key is an object of prompts and answers")
    return read_answers(data)


def _answer(prompt: str, value: object) -> Answer:
    if isinstance(value, str):
        return Answer(value)
    if isinstance(value, Mapping) and isinstance(value.get("answer"), str):
        wrong = value.get("wrong") or ()
        return Answer(value["answer"], bool(value.get("hard")), tuple(map(str, wrong)))
    raise ValueError(f'the answer to {prompt!r} is neither a text nor {{"answer": text}}')
