"""The one door of several workers: accepts each connection and hands it to who has the fewest.

Left to the kernel, connections go to the workers by a hash of their addresses: of sixteen, one of
two workers gets eleven or more every fifth time. Requests do not pass here, only the connections
that they will come on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket

_log = logging.getLogger("waterfall")
BACKLOG = 2048
"""Connections that may wait to be accepted; the kernel may allow fewer."""
AT_ONCE = 64
"""Connections accepted before anything else has its turn again."""
REST = 1.0
"""Seconds without accepting, where the system has no room for another connection."""
_ENDED = 65_536
_FOR_NOW = frozenset({errno.EAGAIN, errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM})


class Line:
    """To one worker: connections go down it, and a byte comes back for each that has ended."""

    def __init__(self) -> None:
        """Make both ends; `theirs` is the worker's, and to be closed by who hands it on."""
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.held = 0
        """Connections that were handed over and have not ended."""
        self.open = True

    def give(self, connection: socket.socket) -> bool:
        """Hand a connection over; False where the worker takes none, or has gone."""
        try:
            socket.send_fds(self.ours, [b"c"], [connection.fileno()])
        except OSError as error:
            # What it has not fetched may fill its line, or what the system allows to be under way:
            # it is stuck or very busy, and may take the next one.
            self.open = error.errno in _FOR_NOW
            return False
        self.held += 1
        return True

    def count(self) -> int:
        """Hear which connections have ended; return how many it holds."""
        with contextlib.suppress(BlockingIOError, OSError):
            self.held -= len(self.ours.recv(_ENDED))
        return self.held

    def close(self) -> None:
        """Give it nothing more; what it was given it may still fetch."""
        self.open = False
        self.ours.close()


class Door:
    """A bound socket, and the lines to those who serve. While there are none, connections wait."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock` is bound, and does not listen yet."""
        self._sock = sock
        self._sock.setblocking(False)
        self._lines: list[Line] = []
        self._waiting: list[socket.socket] = []
        self._reading = self._listening = False
        self._rest: asyncio.TimerHandle | None = None

    def add(self, line: Line) -> None:
        """Hand connections to this one too; the first one opens the door. Where it has been shut
        meanwhile, there are none to hand."""
        if self._sock.fileno() < 0:
            line.close()
            return
        self._lines.append(line)
        if not self._listening:
            # What it accepts has this from it, and else keeps the port for a minute after its end:
            # nobody could start again, nor listen here where such ends are left. Once this one
            # listens, nobody else can, all the same.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._sock.listen(BACKLOG)
            self._listening = True
        self._go_on()

    def remove(self, line: Line) -> None:
        """Hand it no more."""
        if line in self._lines:
            self._lines.remove(line)
        line.close()
        self._look()

    def shut(self) -> None:
        """Hand over whoever has come, and let nobody else in; shut, it stays shut."""
        if self._sock.fileno() < 0:
            return
        if self._listening and not self._waiting:
            self._accept(BACKLOG)
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        for line in list(self._lines):
            self.remove(line)
        for each in self._waiting:
            each.close()
        self._waiting = []
        self._sock.close()

    def _look(self) -> None:
        """Listen to the socket while there is somebody to hand its connections to."""
        wanted = bool(self._lines) and self._rest is None
        if wanted == self._reading:
            return
        loop = asyncio.get_running_loop()
        if wanted:
            loop.add_reader(self._sock.fileno(), self._accept, AT_ONCE)
        else:
            loop.remove_reader(self._sock.fileno())
        self._reading = wanted

    def _accept(self, most: int) -> None:
        for _ in range(most):
            try:
                connection, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors or no memory left: trying on would spin
                _log.error("no connection can be accepted for %g s: %s", REST, error.strerror)
                self._pause()
                return
            if not self._hand_over(connection):
                self._waiting.append(connection)
                self._pause()
                return

    def _pause(self) -> None:
        if self._rest is None:
            self._rest = asyncio.get_running_loop().call_later(REST, self._go_on)
        self._look()

    def _go_on(self) -> None:
        """Take up what could not be handed over, and then what has come since."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        while self._waiting and self._hand_over(self._waiting[0]):
            self._waiting.pop(0)
        if self._waiting and self._lines:
            self._pause()
        self._look()

    def _hand_over(self, connection: socket.socket) -> bool:
        """Hand it to who holds the fewest; False where nobody takes it."""
        for line in sorted(self._lines, key=Line.count):
            if line.give(connection):
                # Who was given one goes last among equals, so that they take turns.
                self._lines.remove(line)
                self._lines.append(line)
                connection.close()
                return True
        self._lines = [line for line in self._lines if line.open]
        return False
