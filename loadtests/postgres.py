"""A PostgreSQL server of one's own: Debian's binaries, a cluster in a temporary folder, no root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

STARTS_WITHIN = 60.0
_DEBIAN = Path("/usr/lib/postgresql")
_USERS = ("postgres", "nobody")
"""Whom root runs it as: PostgreSQL refuses to be root."""


def binaries() -> Path | None:
    """Find the folder of `initdb` and `postgres`: Debian's newest, or what the PATH leads to."""
    debian = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb")
    return debian[-1].parent if debian else Path(found).parent if found else None


class Server:
    """A cluster: start it, stop it, kill it, start it again; its databases stay."""

    def __init__(self, folder: Path) -> None:
        """Make the cluster in an empty folder. Raises FileNotFoundError without the binaries."""
        found = binaries()
        if found is None:
            raise FileNotFoundError("no PostgreSQL is installed: apt install postgresql")
        self._bin, self._folder, self._data = found, folder, folder / "data"
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = next(filter(None, map(_known, _USERS)))
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        initdb = [
            found / "initdb",
            "-D",
            self._data,
            "-U",
            "waterfall",
            "--auth=trust",
            "-E",
            "UTF8",
        ]
        subprocess.run(
            [*initdb, "--no-sync"], check=True, capture_output=True, cwd=folder, **self._as
        )

    def url(self, database: str) -> str:
        """Write a database's address."""
        return f"postgresql://waterfall@127.0.0.1:{self.port}/{database}"

    def start(self, *options: str) -> None:
        """Start it, and wait until it answers. `options` are settings, `name=value`."""
        settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}"]
        given = [word for each in (*settings, *options) for word in ("-c", each)]
        command = [self._bin / "postgres", "-D", self._data, "-p", str(self.port), *given]
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, **self._as
            )
        until = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=1).close()
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop it as `systemctl stop` would: whoever is connected is cut off."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Stop it as a crash would."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(STARTS_WITHIN)

    def create(self, database: str) -> str:
        """Make an empty database; return its address."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)


@contextmanager
def server(*options: str) -> Iterator[Server]:
    """Run a server while inside; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="waterfall-postgres-"))
    try:
        made = Server(folder)
        try:
            made.start(*options)
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _known(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
