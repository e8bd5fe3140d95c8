"""A user's own Python function: found by its name, and called where it can hold up nobody."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.core.scorer_spec import HELPERS
from gateway.waiting.guard import Endless, Raised, Unusable
from gateway.waiting.helpers import Ended, Helpers, NotFound, Order

__all__ = ["NotFound", "UserFunction"]


class Elsewhere(Exception):
    """What a function raised in its own process, as text."""

    def __str__(self) -> str:
        """Write its traceback on lines of its own."""
        return f"\n{self.args[0]}"


class UserFunction:
    """It runs in processes of its own, each of which makes one call at a time."""

    def __init__(
        self, where: str, name: str, helpers: int = HELPERS, memory: int | None = None
    ) -> None:
        """Import `name` of the module `where` in a first process; at most `helpers` are started,
        each within `memory` bytes. Blocks. Raises NotFound."""
        try:
            self._helpers = Helpers(Order(where, name, memory), helpers)
        except OSError as error:
            raise NotFound(f"no process can be started for it: {error}") from error
        self.version = self._helpers.version
        """Its module's `__version__`."""

    async def __call__(self, *given: object) -> object:
        """Call it with JSON values; return what it returned, as JSON values.

        What it raises comes as Raised, and so does an end of its process, or what that says in
        place of an answer. A cancel ends the waiting, and soon the process. Raises Endless where
        too many wait already, Unusable for what it cannot be given or has not returned, and OSError
        where no process can be started.
        """
        try:
            told = orjson.dumps(given)
        except TypeError as error:  # orjson's word for what is too deep or no text
            raise Unusable("the request cannot be told: it is nested too deep") from error
        try:
            answer = await self._helpers.ask(told)
        except Ended as error:
            raise Raised(str(error)) from error
        except TimeoutError as error:
            raise Endless(str(error)) from error
        return _read(answer)

    async def aclose(self) -> None:
        """End its processes."""
        await self._helpers.aclose()

    def close(self) -> None:
        """The same, where it was never called. Blocks shortly."""
        self._helpers.close()


def _read(answer: dict[str, Any]) -> object:
    if "raised" in answer:
        raise Raised(f"it raised {answer['raised']}") from Elsewhere(answer["trace"])
    if "odd" in answer:
        raise Unusable(answer["odd"])
    return answer["said"]
