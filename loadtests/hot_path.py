"""What a request costs the gateway in CPU, beside nginx as a plain reverse proxy, in one run.

CPU is the process tree's user and system time over the requests: far steadier than throughput on a
shared machine, and ratios within one run are steadier still. Where nginx is not installed the
simulated provider, asked directly, stands in.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.upstreams.http1 import Pool
from loadtests.harness import CHAT, PATIENT, Process, Proof, gateway, get, spread, upstream

CHUNKS = 50
WIDTH = {"plain": 32, "stream": 8}
_QUESTION = "Tell me about copper. " + "It is a metal. " * 20
_JSON = ((b"content-type", b"application/json"),)
_WARM = 50
_NGINX = """
daemon off; master_process off; pid {home}/nginx.pid; error_log {home}/nginx.err;
events {{ worker_connections 1024; }}
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


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that answers: how it is shown, where it is, whose CPU counts, what to ask for."""

    label: str
    url: str
    process: Process
    model: str


async def prove(folder: Path, plain: int = 4000, streams: int = 400, repeats: int = 3) -> Proof:
    """Run it. The figures are quoted, not promised: they are the machine's as much as ours."""
    key = folder / "answers.json"
    # No word twice: a draft that says the same over and over would be left for the next tier.
    answer = " ".join(f"copper{number}" for number in range(CHUNKS))
    key.write_text(json.dumps({_QUESTION.strip(): answer}), "utf-8")
    proof = Proof("hot_path")
    async with AsyncExitStack() as stack:
        pace = {"plain": "0", "stream": "0.002"}
        providers = {
            kind: await stack.enter_async_context(
                upstream(folder, kind, "--answers", str(key), "--per-token", gap)
            )
            for kind, gap in pace.items()
        }
        urls = {kind: each.url for kind, each in providers.items()}
        served = await stack.enter_async_context(gateway(folder, _document(urls)))
        for kind, provider in providers.items():
            row = [Contender("the provider itself", provider.url, provider.process, "m")]
            if shutil.which("nginx"):
                proxy = await stack.enter_async_context(nginx(folder, kind, provider.url))
                row.append(Contender("nginx proxy_pass", *proxy, "m"))
            row += [
                Contender("gateway, judged", served.url, served.running, f"{kind}-rules"),
                Contender("gateway, judged and scored", served.url, served.running, kind),
            ]
            count = plain if kind == "plain" else streams
            _tell(proof, kind, row, await _costs(row, kind, count, repeats))
        proof.promise("the gateway writes no traceback", held="Traceback" not in served.said())
    proof.promise("every request is answered in full", held=True)  # _burn asserts it of each
    return proof


def _document(urls: dict[str, str]) -> dict[str, Any]:
    tier = {"price": {"input": 1, "output": 2}, "model": "m"}
    return {
        "upstreams": {k: {"kind": "openai", "base_url": f"{url}/v1"} for k, url in urls.items()},
        "tiers": {
            f"{kind}-{name}": {**tier, "upstream": kind}
            for kind in urls
            for name in ("small", "large")
        },
        "routes": {
            f"{kind}{suffix}": {
                "tiers": [f"{kind}-small", f"{kind}-large"],
                "threshold": 1,
                "scorer": scorer,
            }
            for kind in urls
            for suffix, scorer in (("", "default"), ("-rules", "rules"))
        },
    }


@asynccontextmanager
async def nginx(folder: Path, name: str, url: str) -> AsyncIterator[tuple[str, Process]]:
    """Run nginx, one process of it, as a reverse proxy of `url`; yields its address and process."""
    home = folder / f"nginx-{name}"
    home.mkdir()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    config = home / "nginx.conf"
    text = _NGINX.format(home=home, upstream=url.removeprefix("http://"), port=port)
    config.write_text(text, encoding="utf-8")
    process = Process(["nginx", "-p", str(home), "-c", str(config)], home / "nginx.out")
    pool = Pool(f"http://127.0.0.1:{port}")
    try:
        async with asyncio.timeout(20):
            while (await get(pool, "/health"))[0] != 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}", process
    finally:
        await pool.aclose()
        process.kill()


async def _costs(
    row: Sequence[Contender], kind: str, count: int, repeats: int
) -> dict[str, list[float]]:
    """CPU microseconds a request, for each contender and repeat, taken in turns."""
    found: dict[str, list[float]] = {each.label: [] for each in row}
    for each in row:
        await _burn(each, kind, _WARM)
    for _ in range(repeats):
        for each in row:
            before = each.process.cpu()
            await _burn(each, kind, count)
            found[each.label].append(1e6 * (each.process.cpu() - before) / count)
    return found


async def _burn(contender: Contender, kind: str, count: int) -> None:
    message = {"role": "user", "content": _QUESTION}
    body = orjson.dumps(
        {"model": contender.model, "messages": [message], "stream": kind == "stream"}
    )
    pool = Pool(contender.url)

    async def one(_: int) -> None:
        async with pool.exchange("POST", CHAT, _JSON, body, PATIENT) as exchange:
            assert exchange.status == 200, exchange.status
            reply = await exchange.read_all()
        assert reply.count(b"copper") == CHUNKS, reply[:300]

    try:
        await spread(range(count), WIDTH[kind], one)
    finally:
        await pool.aclose()


def _tell(proof: Proof, kind: str, row: Sequence[Contender], costs: dict[str, list[float]]) -> None:
    what = "plain request" if kind == "plain" else f"stream of {CHUNKS} chunks, 2 ms apart"
    yardstick = row[-3].label  # nginx where it is, else the provider
    for label, values in costs.items():
        ratios = [mine / its for mine, its in zip(values, costs[yardstick], strict=True)]
        told = f"{statistics.median(values):.0f} µs ({min(values):.0f} to {max(values):.0f})"
        if label != yardstick:
            told += f", {statistics.median(ratios):.1f} x {yardstick}"
        proof.figures[f"CPU of a {what}: {label}"] = told
