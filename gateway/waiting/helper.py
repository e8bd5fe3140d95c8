"""One process that has a user's function, and the line to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Final

from gateway.waiting import apart

START_LIMIT: Final = 60.0
"""Seconds that importing the function may take."""
_COMMAND: Final = (sys.executable, "-P", apart.__file__)
_MOST: Final = 2_000_000
"""Bytes of an answer, which is bounded over there."""
_PIECE: Final = 64 * 1024
_STARTS: Final = ({"ready"}, {"refused"})
_ANSWERS: Final = ({"said"}, {"odd"}, {"raised", "trace"})
_STDERR: Final = 2
_REAP_LIMIT: Final = 5.0


class NotFound(ValueError):
    """There is no such function to import; the message says what to change."""


class Ended(Exception):
    """The process has ended in the middle of a call, or said what is no answer."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a helper is to run: `name` of `module`, within `memory` bytes of address space (None:
    without a limit)."""

    module: str
    name: str
    memory: int | None = None


class Helper:
    """A started process, ready to be asked; one call at a time."""

    def __init__(self, order: Order) -> None:
        """Start it and wait until it has imported its function. Blocks. Raises NotFound, or OSError
        where it cannot be started."""
        self._calls = 0
        """How many were made; the start counts as none."""
        self._line, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 (our own file)
                    _COMMAND, stdin=theirs.fileno(), stdout=_STDERR, start_new_session=True
                )
            except BaseException:
                self._line.close()
                raise
        try:
            self.version = self._begin(order)
        except BaseException:
            self.kill()
            self.let_go()
            raise
        self._line.setblocking(False)

    @property
    def alive(self) -> bool:
        """Does it run? Looked up on the line: whoever reaped it here could not kill what it has
        started any more."""
        try:
            self._line.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # it has hung up, or speaks out of turn

    async def ask(self, told: bytes) -> dict[str, Any]:
        """Make a call: `told` is its arguments, as JSON. Raises Ended.

        After a cancel, or an Ended, the line is of no more use: an answer may be under way.
        """
        loop = asyncio.get_running_loop()
        self._calls += 1
        answer, piece = bytearray(), b""
        try:
            await loop.sock_sendall(self._line, b"%d %b\n" % (self._calls, told))
            while b"\n" not in piece:
                piece = await loop.sock_recv(self._line, _PIECE)
                answer += piece
                if not piece or len(answer) > _MOST:
                    raise Ended("its process ended in the middle of it")
        except OSError as error:
            raise Ended("its process ended in the middle of it") from error
        return _read(answer, self._calls, _ANSWERS)

    def kill(self) -> None:
        """End it and what it has started, without waiting."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def let_go(self) -> None:
        """Close the line and wait for the end of the process, which was killed. Blocks shortly."""
        self._line.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP_LIMIT)

    def _begin(self, order: Order) -> str:
        told = {
            "parent": os.getpid(),
            "path": sys.path,
            "module": order.module,
            "name": order.name,
            "memory": order.memory,
        }
        self._line.settimeout(START_LIMIT)
        try:
            self._line.sendall(b"%d %b\n" % (self._calls, json.dumps(told).encode()))
            answer, piece = bytearray(), b""
            while b"\n" not in piece and (piece := self._line.recv(_PIECE)):
                answer += piece
        except TimeoutError as error:
            raise NotFound(f"importing {order.module} took over {START_LIMIT:g} s.") from error
        except OSError as error:
            raise NotFound(f"importing {order.module} ended the process.") from error
        if not answer:
            raise NotFound(f"importing {order.module} ended the process.")
        try:
            found = _read(answer, self._calls, _STARTS)
        except Ended as error:
            raise NotFound(f"importing {order.module}: {error}.") from error
        if "refused" in found:
            raise NotFound(found["refused"])
        return str(found["ready"])


def _read(line: bytearray, call: int, kinds: tuple[set[str], ...]) -> dict[str, Any]:
    """Read the answer to a call, of one of these kinds. Raises Ended for what is none: the function
    can write on the line too, on purpose or not, and so can what it has left running."""
    number, _, told = line.partition(b" ")
    try:
        found = json.loads(told)
    except (ValueError, RecursionError) as error:
        raise Ended("its process said what is no answer") from error
    if number != b"%d" % call or not isinstance(found, dict) or found.keys() not in kinds:
        raise Ended("its process said what is no answer")
    return found
