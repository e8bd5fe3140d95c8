"""A user's own Python function as a scorer: `python:module.function`."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Final

from gateway.core.difficulty import Difficulty
from gateway.core.ports import Calls
from gateway.core.scorer_spec import PythonSpec
from gateway.core.signals import Signals
from gateway.waiting.function import NotFound, UserFunction
from gateway.waiting.guard import Endless, Unusable

_FIELDS: Final = tuple(each.name for each in fields(Signals))
_KINDS: Final = ("difficulty", "gain", "p_good")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]")


class FunctionError(ValueError):
    """A function that cannot be used; the message says what to change."""


class FunctionScorer:
    """Asks a function; fits `gateway.scorers.guard.Waiting`.

    The function is given a dictionary with the fields of Signals. It returns a difficulty
    0..1, or a mapping with `difficulty`, `gain` (-1..1) or `p_good` (a probability for each tier).
    One for fewer tiers counts, one for more does not: its gain may be of a tier that is not there.
    It runs in processes of its own, async or not.
    """

    def __init__(self, spec: PythonSpec, tiers: int) -> None:
        """Import `spec.target`, `module.function`, in its first process, for a route of `tiers`.
        Blocks. Raises FunctionError."""
        self._tiers, target = tiers, spec.target
        where, _, name = target.rpartition(".")
        try:
            self._function = UserFunction(where, name, spec.helpers, spec.memory)
        except NotFound as error:
            raise FunctionError(f"scorer python:{target}: {error}") from error
        version = self._function.version
        self.label = f"{_UNFIT.sub('_', target)[-64:]}@{_UNFIT.sub('_', version)[:32] or '0'}"

    def settle(self, base: Difficulty) -> Difficulty | None:
        """None: it has to be asked."""
        del base
        return None

    def estimate(self, signals: Signals) -> int:
        """Nothing."""
        del signals
        return 0

    async def ask(
        self, signals: Signals, base: Difficulty, seconds: float, calls: Calls
    ) -> Difficulty:
        """Call the function. Raises Endless, Raised, Unusable, or OSError for what cannot be
        started."""
        del base, calls
        request = {name: getattr(signals, name) for name in _FIELDS}
        try:
            async with asyncio.timeout(seconds):
                said = await self._function(request)
        except TimeoutError as error:
            raise Endless("it took too long") from error
        found = reading(said, self.label)
        if len(found.p_good) > self._tiers > 1:
            told = f"its p_good is for {len(found.p_good)} tiers, the route has {self._tiers}"
            raise Unusable(told)
        return found

    async def aclose(self) -> None:
        """End its processes."""
        await self._function.aclose()

    def close(self) -> None:
        """The same, where it was never asked. Blocks shortly."""
        self._function.close()


def reading(said: object, label: str) -> Difficulty:
    """Read what a function returned. Raises Unusable for what is none of its three kinds.

    A gain has no reference here: its value is (gain + 1) / 2, an order and not a rank.
    """
    kind, value = "difficulty", said
    if isinstance(said, Mapping):
        kind = next((each for each in _KINDS if each in said), "")
        value = said.get(kind)
    if kind == "p_good":
        chances = _chances(value)
        return _by_gain(max(chances[1:]) - chances[0], label, chances)
    number = _number(value)
    if kind == "difficulty" and 0 <= number <= 1:
        return Difficulty(number, scorer=label)
    if kind == "gain" and -1 <= number <= 1:
        return _by_gain(number, label)
    raise Unusable(
        "it returned neither a number from 0 to 1 nor a mapping with difficulty, gain or p_good"
    )


def _by_gain(gain: float, label: str, p_good: tuple[float, ...] = ()) -> Difficulty:
    # Ranked by the value: a function may return difficulties too, and those are from 0 to 1.
    return Difficulty((gain + 1) / 2, gain, p_good, label)


def _chances(value: object) -> tuple[float, ...]:
    listed = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()
    chances = tuple(map(_number, listed))
    if len(chances) < 2 or not all(0 <= chance <= 1 for chance in chances):
        raise Unusable("its p_good is not two probabilities or more")
    return chances


def _number(value: object) -> float:
    """Read a real number, numpy's too; NaN for what is none."""
    try:
        return math.nan if isinstance(value, str | bytes | bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan
