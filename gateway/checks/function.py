"""A user's own Python function as a check: `call: "module:function"`."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from typing import Any

from gateway.checks.replies import ABSTAIN, FAILED, passed, plain
from gateway.core.check_spec import PythonCheck
from gateway.core.ports import Calls, Question
from gateway.core.verdict import Finding
from gateway.waiting.function import NotFound, UserFunction
from gateway.waiting.guard import Unusable


class CheckUnusable(ValueError):
    """A check that cannot be used; the message says what to change."""


class Function:
    """Calls a function; fits `gateway.checks.guard.Waiting`.

    It is given copies of the request's body and of the reply (see `replies.plain`), and returns
    True or False, a confidence 0..1, None where it cannot tell, or a mapping with `result` (pass,
    fail, abstain) and perhaps `confidence`. An async function is awaited on the event loop, any
    other runs in a thread of its own few.
    """

    def __init__(self, check: PythonCheck) -> None:
        """Import `check.call`, `module:function`. Raises CheckUnusable."""
        try:
            self._function = UserFunction(*check.call.split(":", 1))
        except NotFound as error:
            raise CheckUnusable(f"{check.where or 'call'}: {error}") from error

    async def ask(self, question: Question, seconds: float, calls: Calls) -> Finding:
        """Call the function; what it makes a thread or the loop wait for cannot be ended."""
        del calls
        reply = await question.reply()
        async with asyncio.timeout(seconds):
            said = await self._call(question.request.body, plain(reply))
        return reading(said)

    async def aclose(self) -> None:
        """Let go of the threads."""
        await self._function.aclose()

    async def _call(self, body: Mapping[str, Any], reply: Mapping[str, Any]) -> object:
        # A copy, for what it does to it must not reach the next tier.
        try:
            copied = await self._function.threads.run(lambda: copy.deepcopy(dict(body)))
        except RecursionError as error:
            raise Unusable("the request is nested too deep to be copied") from error
        return await self._function(copied, reply)


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
