"""One worker process as its supervisor sees it: started, asked, stopped, and seen to its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import MutableMapping
from typing import Any

from gateway.launcher.channel import Answer, Channel, LineLost
from gateway.launcher.door import Line
from gateway.sinks.merged import Snapshot

# With this process's own path: what serves is the gateway that was started, wherever it came from.
_CODE = (
    "import signal, sys; signal.signal(signal.SIGHUP, lambda *_: None); "
    "sys.path[:] = sys.argv[4:]; "
    "from gateway.launcher.worker import main; sys.exit(main())"
)
FIGURES_LIMIT = 2.0
"""Seconds that a worker may take to tell its figures."""


class Worker:
    """One process. Its `figures` are the last that were read, and stay when it has gone."""

    def __init__(self, number: int) -> None:
        """`number` is its place among the workers, from 1; another process may follow on it."""
        self.number = number
        self.figures: Snapshot = []
        self.known = asyncio.Event()
        """Set when it serves, and when it has ended."""
        self.gone = asyncio.Event()
        """Set when it has ended, and everything that it had said was taken up."""
        self._began = time.perf_counter()
        self.version = 0
        """The changes that it knew of from its start."""
        self.line = Line()
        """On which it is handed connections."""
        self.succeeded = False
        """Has another one its place?"""
        self._serves = self._told = False
        self._why = ""
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def serves(self) -> bool:
        """Does it serve?"""
        return self._serves and not self.gone.is_set()

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.perf_counter() - self._began

    @property
    def why(self) -> str:
        """Why it has ended: in its own words, if it had any."""
        if self._why:
            return f"worker {self.number} cannot start: {self._why}"
        code = self._process.returncode if self._process else None
        how = f"was ended by signal {-code}" if code and code < 0 else f"ended with code {code}"
        return f"worker {self.number} {how}"

    async def start(self, answers: MutableMapping[str, Answer]) -> None:
        """Start the process; `answers` are to what it asks. It serves once `known` is set."""
        ours, theirs = socket.socketpair()
        with theirs, self.line.theirs as fed, contextlib.ExitStack() as unless:
            unless.callback(ours.close)
            unless.callback(self.line.close)
            # In a session of its own: a Ctrl-C in the terminal is the supervisor's to hand on.
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _CODE),
                *(str(theirs.fileno()), str(fed.fileno()), str(self.number), *sys.path),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), fed.fileno()),
                start_new_session=True,
            )
            unless.pop_all()
        mine = {"refused": self._refused, "figures": self._last_figures}
        self._channel = await Channel.over(ours, {**mine, **answers})
        self._watch = asyncio.create_task(self._see_to_its_end(self._process, self._channel))

    def welcome(self) -> None:
        """Take it for one that serves."""
        self._serves = True
        self.known.set()

    async def ask(self, name: str, given: Any, limit: float) -> Any:
        """Ask it. Raises LineLost when it cannot answer, BadRequest when it refuses."""
        if self._channel is None:
            raise LineLost("has not been started")
        return await self._channel.ask(name, given, limit)

    async def read(self) -> bool:
        """Read its figures; those it had stay where it does not answer, which is False."""
        try:
            self.figures = await self.ask("figures", None, FIGURES_LIMIT)
        except LineLost:
            return False
        return True

    def stop(self) -> None:
        """Tell it to drain and end; telling it twice is telling it once."""
        if self._told:
            return
        self._told = True
        self.line.close()
        if self.serves and self._channel is not None:
            # Not by a signal: whoever signals all of a group's processes has sent it one already,
            # and the second would end it at once.
            self._channel.tell("stop")
        else:
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _refused(self, why: Any) -> None:
        self._why = str(why)

    async def _last_figures(self, figures: Any) -> None:
        self.figures = figures

    async def _see_to_its_end(self, process: asyncio.subprocess.Process, line: Channel) -> None:
        await process.wait()
        await line.closed.wait()
        self.gone.set()
        self.known.set()
