"""A user's own Python function as a check: `call: "module:function"`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.checks.replies import ABSTAIN, FAILED, passed, plain
from gateway.core.check_spec import PythonCheck
from gateway.core.ports import Calls, Question
from gateway.core.verdict import Finding
from gateway.waiting.function import NotFound, UserFunction
from gateway.waiting.guard import Endless, Unusable


class CheckUnusable(ValueError):
    """A check that cannot be used; the message says what to change."""


class Function:
    """Calls a function; fits `gateway.checks.guard.Waiting`.

    It is given the request's body and the reply (see `replies.plain`), and returns True or False, a
    confidence 0..1, None where it cannot tell, or a mapping with `result` (pass, fail, abstain) and
    perhaps `confidence`. It runs in processes of its own, async or not.
    """

    def __init__(self, check: PythonCheck) -> None:
        """Import `check.call`, `module:function`, in its first process. Blocks. Raises
        CheckUnusable."""
        where, name = check.call.split(":", 1)
        try:
            self._function = UserFunction(where, name, check.helpers, check.memory)
        except NotFound as error:
            raise CheckUnusable(f"{check.where or 'call'}: {error}") from error

    async def ask(self, question: Question, seconds: float, calls: Calls) -> Finding:
        """Call the function. Raises Endless, Raised, Unusable, or OSError for what cannot be
        started."""
        del calls
        reply = await question.reply()
        try:
            async with asyncio.timeout(seconds):
                said = await self._function(dict(question.request.body), plain(reply))
        except TimeoutError as error:
            raise Endless("it took too long") from error
        return reading(said)

    async def aclose(self) -> None:
        """End its processes."""
        await self._function.aclose()

    def close(self) -> None:
        """The same, where it was never asked. Blocks shortly."""
        self._function.close()


def reading(said: object) -> Finding:
    """Read what a function returned. Raises Unusable for what is none of its kinds."""
    if said is None:
        return ABSTAIN
    if isinstance(said, bool):
        return passed() if said else FAILED
    if not isinstance(said, Mapping):
        return passed(said)
    match said.get("result"):
        case "pass":
            return passed(said.get("confidence"))
        case "fail":
            return FAILED
        case "abstain":
            return ABSTAIN
        case _:
            raise Unusable("it returned a mapping whose result is not pass, fail or abstain")
