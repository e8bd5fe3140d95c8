"""`waterfall serve` as a process of its own, and gateways on real sockets of this one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from pathlib import Path

import yaml
from api.serving import LIMIT, config

from gateway.app import read_settings
from gateway.launcher import running

ROOT = Path(__file__).resolve().parents[2]


@contextlib.asynccontextmanager
async def listening(folder, document=None, **changes):
    """A gateway of this process on real sockets."""
    path = folder / "waterfall.yaml"
    path.write_text(yaml.safe_dump(document or config(**changes)))
    with (folder / "requests.log").open("ab") as log:
        async with running(read_settings(path, {}), path, log.fileno()) as served:
            yield served


async def until(condition):
    """Wait until something holds; there is nothing that tells of it."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Process:
    """`waterfall serve` of a configuration; its output is kept in files of the folder."""

    def __init__(self, folder, document, *arguments, **environ):
        self.folder = folder
        self.path = folder / "waterfall.yaml"
        self.path.write_text(yaml.safe_dump(document))
        self.path.chmod(0o600)
        self._arguments = arguments
        self._environ = environ

    async def __aenter__(self):
        self._files = [(self.folder / name).open("wb") for name in ("stdout", "stderr")]
        self._began = time.perf_counter()
        self.child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "--config", str(self.path)),
            *self._arguments,
            stdout=self._files[0],
            stderr=self._files[1],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **self._environ},
        )
        return self

    async def __aexit__(self, *_):
        if self.child.returncode is None:
            self.child.kill()
        await self.child.wait()
        for file in self._files:
            file.close()

    @property
    def stdout(self):
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self):
        return (self.folder / "stderr").read_text()

    async def ready(self):
        """Wait until it serves; return after how many seconds it did. A machine that is full of
        other tests takes its time to start Python: it is waited for as for a hang."""
        async with asyncio.timeout(3 * LIMIT):
            while "admin token" not in self.stderr:
                assert self.child.returncode is None, self.stderr
                await asyncio.sleep(0.01)
        seconds = time.perf_counter() - self._began
        self.url = re.search(r"serving (\S+)/v1", self.stderr)[1]
        self.admin_url = re.search(r"admin on (\S+)", self.stderr)[1]
        self.token = re.search(r"admin token for this run: (\S+)", self.stderr)[1]
        return seconds

    def signal(self, number=signal.SIGTERM):
        self.child.send_signal(number)

    async def ended(self):
        """Wait for its end; return its exit code."""
        async with asyncio.timeout(LIMIT):
            return await self.child.wait()


class Wire:
    """A raw connection: bytes out, bytes in."""

    def __init__(self, url):
        self._host, port = url.removeprefix("http://").split("/")[0].split(":")
        self._port = int(port)

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_):
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, mark):
        """Read up to and with a mark."""
        async with asyncio.timeout(LIMIT):
            return await self.reader.readuntil(mark)

    async def rest(self):
        """Read to the connection's end; a reset is one too."""
        blocks = []
        async with asyncio.timeout(LIMIT):
            with contextlib.suppress(ConnectionError):
                while block := await self.reader.read(65_536):
                    blocks.append(block)
        return b"".join(blocks)


def posted(body, path="/v1/chat/completions", host="localhost", **headers):
    """A POST's bytes; a header's underscores are dashes."""
    named = {"host": host, "content_type": "application/json", **headers}
    named.setdefault("content_length", len(body))
    lines = [f"POST {path} HTTP/1.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join((*lines, "", "")).encode() + body
