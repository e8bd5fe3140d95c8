"""The shapes of the checks that a user defines, by kind."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, PlainValidator

from gateway.config.fields import (
    Filled,
    Flag,
    Helpers,
    Memory,
    Name,
    Seconds,
    choice,
    whole,
)
from gateway.config.models import Strict
from gateway.config.quantities import number, size
from gateway.core.scorer_spec import HELPERS

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def degrees(value: object) -> float | None:
    """A temperature, or off."""
    return None if value == "off" else number(value, 0, 2)


def arguments(value: object) -> tuple[str, ...]:
    """A program and its arguments."""
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return tuple(map(str, value))
    raise ValueError('must be a program and its arguments, such as ["./check.sh", "--fast"]')


def function(value: object) -> str:
    """`module:function`."""
    if isinstance(value, str) and _FUNCTION.fullmatch(value):
        return str(value)
    raise ValueError("must be module:function, such as my_package.checks:ok")


class AgreementKeys(Strict):
    """More samples, compared by their answers."""

    kind: str
    tier: Name | None = None
    samples: Annotated[int, PlainValidator(whole(1, 5))] = 1
    temperature: Annotated[float | None, PlainValidator(degrees)] = 1.0
    seed: Annotated[int | None, PlainValidator(whole(0, 2**31 - 1))] = None
    timeout: Seconds = 5.0
    concurrent: Flag = False


class JudgeKeys(Strict):
    """A model that says how probable it is that a reply is good."""

    kind: str
    tier: Name
    timeout: Seconds = 5.0
    prompt: Filled | None = None
    allow_self: Flag = False


class PythonKeys(Strict):
    """A function of the user's own."""

    kind: str
    call: Annotated[str, PlainValidator(function)]
    timeout: Seconds = 1.0
    helpers: Helpers = HELPERS
    memory: Memory = None


class CommandKeys(Strict):
    """A program that reads the reply."""

    kind: str
    run: Annotated[tuple[str, ...], PlainValidator(arguments)]
    gives: Annotated[str, PlainValidator(choice("text", "json"))] = "text"
    timeout: Seconds = 3.0
    cpu: Seconds = 2.0
    memory: Annotated[int, PlainValidator(size)] = 256_000_000
    file_size: Annotated[int, PlainValidator(size)] = 10_000_000
    processes: Annotated[int, PlainValidator(whole(0, 4096))] = 16
    env: list[Filled] = Field(default=[])


CheckKeys = AgreementKeys | JudgeKeys | PythonKeys | CommandKeys
KINDS: dict[str, type[CheckKeys]] = {
    "agreement": AgreementKeys,
    "judge": JudgeKeys,
    "python": PythonKeys,
    "command": CommandKeys,
}
