"""A user's own Python function as a check: `call: "module:function"`."""

from __future__ import annotations

import asyncio
import copy
import importlib
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from gateway.checks.guard import Raised, Unusable
from gateway.checks.replies import ABSTAIN, FAILED, passed, plain
from gateway.core.check_spec import PythonCheck
from gateway.core.ports import Calls, Question
from gateway.core.verdict import Finding
from gateway.waiting.threads import Taken, Threads


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
        self._function = _find(check.where or "call", check.call)
        own_call = getattr(self._function, "__call__", None)  # noqa: B004 (an object's own)
        self._awaits = any(map(inspect.iscoroutinefunction, (self._function, own_call)))
        self._threads = Threads()
        self._under_way: set[asyncio.Task[Any]] = set()

    async def ask(self, question: Question, seconds: float, calls: Calls) -> Finding:
        """Call the function; what it makes a thread or the loop wait for cannot be ended."""
        del calls
        reply = await question.reply()
        async with asyncio.timeout(seconds):
            said = await self._call(question.request.body, plain(reply))
        return reading(said)

    async def aclose(self) -> None:
        """Let go of the threads."""
        self._threads.close()

    async def _call(self, body: Mapping[str, Any], reply: Mapping[str, Any]) -> object:
        try:
            # A copy, for what it does to it must not reach the next tier.
            copied = await self._threads.run(lambda: copy.deepcopy(dict(body)))
            if self._awaits:
                return await self._awaited(self._function(copied, reply))
            return await self._threads.run(lambda: self._function(copied, reply))
        except Taken:
            raise
        except (Exception, SystemExit) as error:
            raise Raised(f"it raised {type(error).__name__}") from error

    async def _awaited(self, coroutine: Coroutine[Any, Any, object]) -> object:
        """Await it in a task of its own: one that will not be cancelled is left behind."""
        task = asyncio.create_task(coroutine)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            raise
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that nobody complains that it never was


def _find(place: str, call: str) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Any]:
    where, _, attribute = call.partition(":")
    try:
        module = importlib.import_module(where)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise CheckUnusable(
            f"{place}: importing {where} raised {error!r}. Its folder must be on "
            "PYTHONPATH, or its package installed."
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        raise CheckUnusable(f"{place}: {where} has no function {attribute!r}.")
    found: Callable[[Mapping[str, Any], Mapping[str, Any]], Any] = function
    return found


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
