"""A Redis of a proof's own, on a free port: started, stopped, started anew, and empty then."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.harness import ProofError

STARTS_WITHIN = 10.0


class Redis:
    """The server and its address; what it knows is in memory alone."""

    def __init__(self, folder: Path) -> None:
        """Take a free port. Raises ProofError where no server is installed."""
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise ProofError("no Redis is installed: apt install redis-server")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        where = ("--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(folder))
        self._command = [program, *where, "--save", "", "--appendonly", "no"]
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What the configuration says."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers. Raises ProofError."""
        self._child = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            if time.monotonic() > until:
                raise ProofError("redis-server does not answer")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=2) as wire:
                wire.sendall(b"PING\r\n")
                return b"PONG" in wire.recv(64)
        except OSError:
            return False


@contextmanager
def redis_server(folder: Path) -> Iterator[Redis]:
    """Run one while inside."""
    server = Redis(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
