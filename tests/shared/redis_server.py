"""A real Redis of one's own on a free port, that can be stopped, frozen, emptied, started anew."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
needs_redis = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RedisServer:
    """Started by `start`; everything it knows is in memory, and gone when it is stopped."""

    def __init__(self, folder):
        self.folder, self.port, self.child = folder, free_port(), None
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        arguments = ("--port", str(self.port), "--save", "", "--appendonly", "no")
        self.child = subprocess.Popen(
            [SERVER, *arguments, "--bind", "127.0.0.1", "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
        )
        until = time.perf_counter() + 10
        while b"PONG" not in self.say("PING"):
            assert time.perf_counter() < until, "redis-server does not answer"
            time.sleep(0.02)
        return self

    def say(self, line):
        """Send one inline command; b"" while nobody listens."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=2) as wire,
        ):
            wire.sendall(line.encode() + b"\r\n")
            return wire.recv(4096)
        return b""

    def stop(self):
        if self.child is not None:
            os.kill(self.child.pid, signal.SIGCONT)
            self.child.kill()
            self.child.wait()
            self.child = None

    def freeze(self):
        """Take what comes, and answer nothing."""
        os.kill(self.child.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.child.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()
