"""The rules that conftest lays on every test do hold."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ELSEWHERE = "192.0.2.1"  # TEST-NET-1: leads nowhere, should the guard be gone

SKIPS = """
import pytest

@pytest.mark.live
def test_needs_a_server():
    pytest.skip("no server here")
"""
SKIPS_WHOLE = "import pytest\npytest.skip('nothing here', allow_module_level=True)\n"
CONFIG = "[pytest]\nmarkers =\n  live: needs a server\n"


def test_a_test_cannot_connect_elsewhere():
    with pytest.raises(RuntimeError, match="loopback only"):
        socket.create_connection((ELSEWHERE, 9), timeout=1)


async def test_nor_can_the_event_loop():
    with pytest.raises(RuntimeError, match="loopback only"):
        await asyncio.open_connection(ELSEWHERE, 9)


def test_a_test_cannot_look_a_name_up():
    with pytest.raises(RuntimeError, match="loopback only"):
        socket.getaddrinfo("example.invalid", 80)


async def test_loopback_is_open():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


def test_the_caller_s_keys_are_forgotten():
    kept = {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HTTPS_PROXY", "WATERFALL_ADMIN_KEY"}
    assert not kept & set(os.environ)


@pytest.mark.parametrize("text", [SKIPS, SKIPS_WHOLE], ids=["test", "file"])
@pytest.mark.parametrize("ci", [True, False], ids=["ci", "desk"])
def test_a_live_test_may_be_skipped_only_at_the_desk(tmp_path: Path, text: str, ci: bool):
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_it.py").write_text(text)
    (tmp_path / "pytest.ini").write_text(CONFIG)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "WATERFALL_CI": "1" if ci else ""}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ("may not be skipped in CI" in done.stdout) == ci
    assert (done.returncode in {1, 2}) == ci
