"""A user's function in a process of its own: started by `gateway.waiting.helper`, as a file.

Lines over the socket that it is given as standard input: first what to import, then for each call
its arguments; each is answered with a line. A line is a number, a space and JSON; an answer has the
number of what it answers. What the function prints goes to the gateway's standard error, so that it
ends up neither in this conversation nor in the request log.
It imports nothing of the gateway, and only what every start needs.
"""

import contextlib
import ctypes
import fcntl
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LEAST = 3
_TRACED = 8_000
"""Characters of a traceback that are told: the last."""
_DEEPEST = 8
_MOST = 1_000_000
"""Characters of an answer."""


def _line() -> int:
    """Take the socket out of the way of whatever the function does with its standard input, and of
    the processes that it forks: such a one answers nobody, hears of no call, and so ends."""
    own = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, _LEAST)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.register_at_fork(after_in_child=lambda: os.dup2(nothing, own, inheritable=False))
    return own


def _confine(parent: int, memory: int | None) -> None:
    """End with the gateway, however it ends, and keep within `memory`, bytes of address space."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit()  # the gateway was gone before its end could be heard of
        # Where the machine runs out of memory, this is to go and not the gateway.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if memory is not None:
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        least = memory if most == resource.RLIM_INFINITY else min(memory, most)
        resource.setrlimit(resource.RLIMIT_AS, (least, least))


def _find(where: str, name: str) -> tuple[object, str]:
    """Import `name` of the module `where`; return it with the module's version. Raises LookupError,
    which says what to change."""
    try:
        module = importlib.import_module(where)
    except BaseException as error:
        raise LookupError(
            f"importing {where} raised {error!r}. Its folder must be on PYTHONPATH, or its package "
            "installed."
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise LookupError(f"{where} has no function {name!r}.")
    return function, str(getattr(module, "__version__", "0"))


class _Loop:
    """One event loop for all calls of an async function: what it keeps open may be bound to it."""

    def __init__(self) -> None:
        self._runner: Any = None

    def settle(self, said: object) -> object:
        """Await what is to be awaited."""
        if not hasattr(type(said), "__await__"):
            return said
        if self._runner is None:
            import asyncio  # noqa: PLC0415 (most functions are not async, and it is slow to import)

            self._runner = asyncio.Runner()
        return self._runner.run(_awaited(said))


async def _awaited(said: object) -> object:
    return await said  # type: ignore[misc]


def _plain(value: object, depth: int = 0) -> object:
    """Turn what a function returned into JSON's values, numbers such as numpy's too. Raises
    TypeError for what is none."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): _plain(inner, depth + 1) for key, inner in value.items()}
    if depth < _DEEPEST and isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_plain(inner, depth + 1) for inner in value]
    return float(value)  # type: ignore[arg-type]


def _answer(function: object, loop: _Loop, given: bytes) -> dict[str, object]:
    try:
        said = loop.settle(function(*json.loads(given)))  # type: ignore[operator]
    except BaseException as error:  # noqa: BLE001 (SystemExit too: it is not ours to obey here)
        told = "".join(traceback.format_exception(error))
        return {"raised": type(error).__name__, "trace": told[-_TRACED:]}
    try:
        found = {"said": _plain(said)}
        if len(json.dumps(found)) > _MOST:
            return {"odd": "it returned too much"}
        return found
    except Exception:  # noqa: BLE001 (a value of the user's own kind may raise anything)
        return {"odd": f"it returned a {type(said).__name__}"}


def main() -> None:
    """Import, then answer until the gateway hangs up."""
    line = _line()
    with os.fdopen(line, "rb") as heard, os.fdopen(line, "wb", closefd=False) as told:

        def tell(number: bytes, answer: dict[str, object]) -> None:
            told.write(b"%b %b\n" % (number, json.dumps(answer).encode()))
            told.flush()

        first, _, ordered = heard.readline().partition(b" ")
        orders = json.loads(ordered)
        _confine(orders["parent"], orders["memory"])
        sys.path[:] = orders["path"]
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        try:
            function, version = _find(orders["module"], orders["name"])
        except LookupError as error:
            tell(first, {"refused": str(error)})
            return
        tell(first, {"ready": version})
        loop = _Loop()
        for call in heard:
            number, _, given = call.partition(b" ")
            tell(number, _answer(function, loop, given))


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # the gateway has hung up
        main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that the function has left running are not waited for
