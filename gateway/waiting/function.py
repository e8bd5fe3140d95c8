"""A user's own Python function: found by its name, and called so that nothing else waits for it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable
from types import CoroutineType
from typing import Any, cast

from gateway.waiting.guard import Raised
from gateway.waiting.threads import Taken, Threads


class NotFound(ValueError):
    """There is no such function to import; the message says what to change."""


class UserFunction:
    """An async function is awaited on the event loop, any other runs in a thread of its own few."""

    def __init__(self, where: str, name: str) -> None:
        """Import `name` of the module `where`. Raises NotFound."""
        module = _import(where)
        self._function: Callable[..., Any] = getattr(module, name, None)  # type: ignore[assignment]
        if not callable(self._function):
            raise NotFound(f"{where} has no function {name!r}.")
        self.version = str(getattr(module, "__version__", "0"))
        """Its module's `__version__`."""
        own_call = getattr(self._function, "__call__", None)  # noqa: B004 (an object's own)
        self._awaits = any(map(inspect.iscoroutinefunction, (self._function, own_call)))
        self._under_way: set[asyncio.Task[Any]] = set()
        self.threads = Threads()

    async def __call__(self, *given: object) -> object:
        """Call it. What it raises, SystemExit too, comes as Raised; a cancel ends the waiting, if
        not what a thread or a stubborn coroutine does. Raises Taken."""
        try:
            if self._awaits:
                return await self._awaited(self._function(*given))
            return await self.threads.run(lambda: self._function(*given))
        except (Taken, Raised):
            raise
        except (Exception, SystemExit) as error:
            raise Raised(f"it raised {type(error).__name__}") from error

    async def aclose(self) -> None:
        """Let go of the threads."""
        self.threads.close()

    async def _awaited(self, coroutine: CoroutineType[Any, Any, object]) -> object:
        """Await it in a task of its own: one that will not be cancelled is left behind."""
        contained = cast("CoroutineType[Any, Any, object]", _contained(coroutine))
        contained.__qualname__ = coroutine.__qualname__  # the user's own, for the log
        task = asyncio.create_task(contained)
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


async def _contained(coroutine: CoroutineType[Any, Any, object]) -> object:
    try:
        return await coroutine
    except SystemExit as error:  # let through by a task, it would end the event loop
        raise Raised("it raised SystemExit") from error


def _import(where: str) -> object:
    try:
        return importlib.import_module(where)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise NotFound(
            f"importing {where} raised {error!r}. Its folder must be on PYTHONPATH, or its package "
            "installed."
        ) from error
