"""What stands beside us in a comparison: each installed by this file, into a place of its own.

The places are kept between runs, under $XDG_CACHE_HOME/waterfall-peers (or the temporary folder);
nothing is written into the checkout or the system. Whatever cannot be installed or started raises
PeerError with the reason, and the comparison goes on without it.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.upstreams.http1 import Pool
from loadtests.harness import Process, ProofError, get

VERSIONS = {"litellm": "1.108.7", "portkey": "1.15.2", "firstpass": "0.9.0"}
"""Pinned, so that figures of two days are of the same peers."""
INSTALL_WITHIN = 900.0
"""Seconds for an installation; LiteLLM's takes minutes."""
READY_WITHIN = 90.0


class PeerError(Exception):
    """A peer that cannot take part: says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One that answers: how it is shown, where, whose CPU counts, which model to name."""

    label: str
    url: str
    pid: int
    model: str = "m"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    what: str = ""


Start = Callable[[Path, str], "AsyncIterator[Peer]"]


def place() -> Path:
    """Say where installations are kept."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path(tempfile.gettempdir())) / "waterfall-peers"


async def installed(name: str, commands: Callable[[Path], Sequence[Sequence[str]]]) -> Path:
    """Have a peer installed, now or earlier; return its folder. Raises PeerError."""
    home = place() / f"{name}-{VERSIONS[name]}"
    if (home / ".ready").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    print(f"· installing {name} {VERSIONS[name]} into {home}", file=sys.stderr, flush=True)
    for command in commands(home):
        if shutil.which(command[0]) is None:
            raise PeerError(f"{command[0]} is not installed")
        try:
            done = await asyncio.to_thread(
                subprocess.run,
                command,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=INSTALL_WITHIN,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PeerError(f"not installed within {INSTALL_WITHIN:.0f} s") from None
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise PeerError(f"not installed: {' '.join(last)[:200]}")
    (home / ".ready").touch()
    return home


def _python(*requirements: str) -> Callable[[Path], Sequence[Sequence[str]]]:
    def commands(home: Path) -> Sequence[Sequence[str]]:
        python = str(home / "venv" / "bin" / "python")
        quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        return ([sys.executable, "-m", "venv", "venv"], [python, *quiet, *requirements])

    return commands


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@asynccontextmanager
async def running(
    command: Sequence[str],
    folder: Path,
    name: str,
    port: int,
    path: str,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Process]:
    """Run a peer until it answers `path` with anything, and end it afterwards."""
    home = folder / name
    home.mkdir(exist_ok=True)
    wrapped = ["env", *(f"{k}={v}" for k, v in (env or {}).items()), *command]
    process = Process(wrapped, home / "out", home)
    pool = Pool(f"http://127.0.0.1:{port}")
    try:
        until = time.monotonic() + READY_WITHIN
        while (await get(pool, path))[0] == 0:
            if process.child.poll() is not None or time.monotonic() > until:
                raise PeerError(f"did not start: {process.said().strip()[-300:]}")
            await asyncio.sleep(0.05)
        yield process
    finally:
        await pool.aclose()
        if process.child.poll() is None:
            process.kill()


# ------------------------------------------------------------------ the peers

_NGINX = """
daemon off; master_process off; pid {home}/nginx.pid; error_log {home}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p;
  fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  upstream provider {{ server {upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port}; keepalive_requests 1000000;
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


@asynccontextmanager
async def nginx(folder: Path, upstream: str) -> AsyncIterator[Peer]:
    """Run nginx as a plain reverse proxy: one process, connections kept on both sides."""
    if shutil.which("nginx") is None:
        raise PeerError("nginx is not installed")
    port, home = free_port(), folder / "nginx"
    home.mkdir()
    text = _NGINX.format(home=home, upstream=upstream.removeprefix("http://"), port=port)
    (home / "nginx.conf").write_text(text, encoding="utf-8")
    command = ["nginx", "-p", str(home), "-c", str(home / "nginx.conf")]
    async with running(command, folder, "nginx", port, "/") as process:
        yield Peer("nginx proxy_pass", f"http://127.0.0.1:{port}", process.pid, what="no JSON")


@asynccontextmanager
async def hop(folder: Path, upstream: str) -> AsyncIterator[Peer]:
    """Run the bare hop."""
    process = Process([sys.executable, "-m", "loadtests.hop", upstream], folder / "hop.out")
    try:
        url = await process.says(r"listening (\S+)")
        yield Peer("bare hop", url, process.pid, what="uvicorn and our client, nothing else")
    except ProofError as error:
        raise PeerError(str(error)) from error
    finally:
        process.kill()


@asynccontextmanager
async def litellm(folder: Path, upstream: str) -> AsyncIterator[Peer]:
    """Run LiteLLM's proxy: one worker, no database, its log quiet."""
    home = await installed("litellm", _python(f"litellm[proxy]=={VERSIONS['litellm']}"))
    model = {"model": "openai/m", "api_base": f"{upstream}/v1", "api_key": "none"}
    config = folder / "litellm.yaml"
    told = {"model_list": [{"model_name": "m", "litellm_params": model}]}
    config.write_text(json.dumps(told), encoding="utf-8")
    port = free_port()
    command = [str(home / "venv" / "bin" / "litellm"), "--config", str(config)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    key = "sk-" + secrets.token_hex(16)  # it refuses to start without one
    env = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MASTER_KEY": key,
    }
    async with running(command, folder, "litellm", port, "/health/liveliness", env) as process:
        label = f"LiteLLM proxy {VERSIONS['litellm']}"
        headers = ((b"authorization", f"Bearer {key}".encode()),)
        url = f"http://127.0.0.1:{port}"
        yield Peer(label, url, process.pid, headers=headers, what="one model, no database")


@asynccontextmanager
async def portkey(folder: Path, upstream: str) -> AsyncIterator[Peer]:
    """Run Portkey's gateway on Node."""

    def commands(_: Path) -> Sequence[Sequence[str]]:
        quiet = ["--silent", "--no-fund", "--no-audit", "--prefix", "."]
        return (["npm", "install", *quiet, f"@portkey-ai/gateway@{VERSIONS['portkey']}"],)

    if shutil.which("node") is None:
        raise PeerError("node is not installed")
    home, port = await installed("portkey", commands), free_port()
    script = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    command = ["node", str(script), f"--port={port}", "--headless"]
    env = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    async with running(command, folder, "portkey", port, "/", env) as process:
        headers = (
            (b"x-portkey-provider", b"openai"),
            (b"x-portkey-custom-host", f"{upstream}/v1".encode()),
            (b"authorization", b"Bearer none"),
        )
        label = f"Portkey gateway {VERSIONS['portkey']}"
        url = f"http://127.0.0.1:{port}"
        yield Peer(label, url, process.pid, headers=headers, what="pass-through, on Node")


_FIRSTPASS = """
[[provider]]
id = "up"
dialect = "openai"
base_url = "{upstream}"
[[price]]
model = "up/m"
input_per_mtok = 1.0
output_per_mtok = 2.0
[[price]]
model = "up/n"
input_per_mtok = 10.0
output_per_mtok = 20.0
[[route]]
match = {{}}
mode = "enforce"
ladder = ["up/m", "up/n"]
gates = ["non-empty"]
"""


@asynccontextmanager
async def firstpass(folder: Path, upstream: str) -> AsyncIterator[Peer]:
    """Run firstpass: a cascade in Rust; enforce mode, one gate, prices declared, receipts on."""
    home = await installed("firstpass", _python(f"firstpass=={VERSIONS['firstpass']}"))
    config, port = folder / "firstpass.toml", free_port()
    config.write_text(_FIRSTPASS.format(upstream=upstream), encoding="utf-8")
    env = {
        "FIRSTPASS_MODE": "enforce",
        "FIRSTPASS_CONFIG": str(config),
        "FIRSTPASS_BIND": f"127.0.0.1:{port}",
        "FIRSTPASS_DB": str(folder / "firstpass.db"),
        "FIRSTPASS_PROMPT_SALT": "comparison",
        "FIRSTPASS_UPSTREAM_OPENAI": upstream,
        "RUST_LOG": "error",
    }
    command = [str(home / "venv" / "bin" / "firstpass-proxy")]
    async with running(command, folder, "firstpass", port, "/health", env) as process:
        label = f"firstpass {VERSIONS['firstpass']}"
        url = f"http://127.0.0.1:{port}"
        yield Peer(
            label, url, process.pid, what="a cascade in Rust: one gate (non-empty), receipts"
        )


PEERS: Mapping[str, Callable[[Path, str], object]] = {
    "nginx": nginx,
    "hop": hop,
    "firstpass": firstpass,
    "portkey": portkey,
    "litellm": litellm,
}
