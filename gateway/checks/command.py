"""A program as a check: the reply on its standard input, its exit code the finding.

0 passes and 1 fails; any other code, or a signal, is an abstention. A last line of output such as
`{"confidence": 0.8}` goes with a pass. It runs in a session of its own, in an empty folder, with
limits, and with no more of the environment than is named; what it leaves behind in its process
group is killed with it. That bounds mistakes; it is no wall against an attacker: there is no
network of its own, and it may read what the gateway's user may read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any, Final

from gateway.checks import confined
from gateway.checks.complaints import TOLD, Complaints
from gateway.checks.folder import Folder
from gateway.checks.replies import FAILED, as_text, passed, plain
from gateway.core.chat import Reply
from gateway.core.check_spec import CommandCheck
from gateway.core.ports import Calls, Question
from gateway.core.verdict import Finding
from gateway.waiting.guard import Endless, Raised, Unusable

AT_ONCE: Final = 4
"""Programs of one check that run at the same time; others wait, within their own time."""
KEPT: Final = 64 * 1024
"""Bytes of output that are kept: the last."""
INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TZ")
_LAUNCHER: Final = (sys.executable, "-I", "-S", confined.__file__)
_LINE: Final = 1_000
_POLL: Final = 0.005
_LAST_WORDS: Final = 0.5
_BURIAL: Final = 2.0


class Command:
    """Runs a program; fits `gateway.checks.guard.Waiting`."""

    def __init__(self, name: str, check: CommandCheck) -> None:
        """`check.run` is to be found when it runs; `name` is for the log."""
        self._check = check
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._complaints = Complaints(name)
        self._dying: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question, seconds: float, calls: Calls) -> Finding:
        """Run it once. Raises Endless, Raised, Unusable, or OSError for what cannot be run."""
        del calls
        reply = await question.reply()
        told = await self._told(question, reply)
        try:
            async with asyncio.timeout(seconds), self._turns:
                code, output, errors = await self._run(told.encode("utf-8", "replace"))
        except TimeoutError as error:
            raise Endless("it took too long") from error
        if code:
            self._complaints.tell(code, errors)
        return reading(code, output)

    async def _told(self, question: Question, reply: Reply) -> str:
        if self._check.gives == "text":
            return as_text(reply)
        whole = {"request": dict(question.request.body), "reply": plain(reply)}
        return await asyncio.to_thread(json.dumps, whole)

    async def _run(self, told: bytes) -> tuple[int, bytes, bytes]:
        folder = Folder()
        starting: asyncio.Task[Process] | None = None
        try:
            place = str(await asyncio.to_thread(folder.make))
            starting = asyncio.create_task(self._start(place))
            return await _conversation(await asyncio.shield(starting), told)
        finally:
            if starting is not None:
                self._bury(starting)
            # In a thread, and unwatched: a cancel is not to wait for a disk.
            asyncio.get_running_loop().run_in_executor(None, folder.remove)

    def _bury(self, starting: asyncio.Task[Process]) -> None:
        """Kill what has been started, at once where it has, and see it to its end; apart, for a
        cancel is not to wait for that either."""
        if starting.done() and not (starting.cancelled() or starting.exception()):
            _kill(starting.result())
        task = asyncio.get_running_loop().create_task(_killed(starting))
        self._dying.add(task)
        task.add_done_callback(self._dying.discard)

    async def aclose(self) -> None:
        """Let what was killed last end; what cannot is left to the system."""
        if self._dying:
            await asyncio.wait(self._dying, timeout=_BURIAL)

    async def _start(self, folder: str) -> Process:
        check = self._check
        cpu = max(math.ceil(check.cpu), 1)
        limits = (os.getpid(), cpu, check.memory, check.file_size, check.processes)
        kept = {name: os.environ[name] for name in (*INHERITED, *check.env) if name in os.environ}
        return await asyncio.create_subprocess_exec(
            *_LAUNCHER,
            *map(str, limits),
            *check.run,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=folder,
            env={**kept, "HOME": folder, "TMPDIR": folder},
            start_new_session=True,
        )


async def _conversation(process: Process, told: bytes) -> tuple[int, bytes, bytes]:
    """Feed it, hear it, and see it end: what it has left running then is killed, lest that keep
    the output open. Return its code, the last of its output and the first of its errors."""
    output, complaint = bytearray(), bytearray()
    heard = asyncio.create_task(_last(process, output))
    errors = asyncio.create_task(_first(process, complaint))
    fed = asyncio.create_task(_feed(process, told))
    try:
        while process.returncode is None:  # noqa: ASYNC110 (`wait` waits for the pipes too)
            await asyncio.sleep(_POLL)
        _kill(process)
        # What has left its group may keep these open: that is not waited for.
        said = (heard, errors) if process.returncode else (heard,)
        await asyncio.wait(said, timeout=_LAST_WORDS)
        return process.returncode, bytes(output), bytes(complaint)
    finally:
        heard.cancel()
        errors.cancel()
        fed.cancel()


async def _killed(starting: asyncio.Task[Process]) -> None:
    """Kill what is being started, and see it end. What did not start has told whoever waits."""
    try:
        process = await starting
    except (OSError, ValueError):
        return
    _kill(process)
    # Its pipes would stay open for as long as what has left its group holds them.
    transport: Any = getattr(process, "_transport")  # noqa: B009 (asyncio offers none)
    transport.close()
    while process.returncode is None:  # noqa: ASYNC110 (see above)
        await asyncio.sleep(_POLL)


async def _feed(process: Process, told: bytes) -> None:
    """Write the reply; a program that does not read it to the end may."""
    if process.stdin is None:
        raise AssertionError("it was started with a pipe")
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(told)
        await process.stdin.drain()
    process.stdin.close()


async def _last(process: Process, kept: bytearray) -> None:
    """Read the output to its end, and keep the last of it."""
    if process.stdout is None:
        raise AssertionError("it was started with a pipe")
    while piece := await process.stdout.read(KEPT):
        kept += piece
        del kept[:-KEPT]


async def _first(process: Process, kept: bytearray) -> None:
    """Read the errors to their end, and keep the first of them."""
    if process.stderr is None:
        raise AssertionError("it was started with a pipe")
    while piece := await process.stderr.read(KEPT):
        kept += piece[: TOLD - len(kept)]


def _kill(process: Process) -> None:
    """Kill whatever is left in its group: its leader's end is not the end of its children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def reading(code: int, output: bytes) -> Finding:
    """Read how a program ended. Raises Unusable or Raised for what says nothing."""
    if code == 1:
        return FAILED
    if code == 126:
        raise OSError("it cannot be run")
    if code:
        raise Raised(f"it ended with {code}")
    line = output.rstrip().rpartition(b"\n")[2].strip()
    if line[:1] != b"{" or len(line) > _LINE:
        return passed()
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Unusable("its last line is not JSON") from error
    return passed(told.get("confidence"))


def find(program: str, folder: Path) -> str | None:
    """Return where a program is: a path from `folder`, a name in PATH; None when nowhere."""
    place = str(folder / program) if "/" in program else program
    return shutil.which(place)
