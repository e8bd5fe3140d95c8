"""Steps of Python that a request takes: `python -m loadtests.steps [--stream] [--model M]`.

Counts the bytecode instructions that the gateway runs for a request, from ASGI in to ASGI out, by
function: no clock, so that a busy machine says the same as a quiet one, and a change of one in a
hundred is seen. What C does (the parser, numpy, the socket) counts as the one instruction that
calls it: `loadtests.instructions` counts that too. uvicorn is not in it; see `loadtests.beside`.

With --stream it says what a chunk takes: the difference between longer and shorter streams, whose
chunks come one at a time. `--model waterfall` holds them to the end, `early` for 8 tokens, `live`
and `alone` not at all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import uvloop

from gateway.app import Gateway, read_settings
from loadtests.compare import LOADS, Load, configured
from loadtests.stage import instant

PATH = "/v1/chat/completions"
PLAIN = replace(LOADS[0], few=40, count=10)
"""So many requests to warm with, and so many to count."""
SHORT, LONG = 60, 160
"""Chunks of a shorter and of a longer stream."""
_GAP = 4
"""Milliseconds between two chunks: one is done with before the next comes, though it is counted."""
_HEADERS = ((b"host", b"127.0.0.1"), (b"content-type", b"application/json"))


async def ask(app: Any, body: bytes) -> None:
    """Put one request to an ASGI app. Raises AssertionError unless it is answered with 200."""
    sent: list[Mapping[str, Any]] = []
    arriving = [{"type": "http.request", "body": body, "more_body": False}]
    stays = asyncio.get_running_loop().create_future()

    async def receive() -> Any:
        return arriving.pop() if arriving else await stays

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    headers = [*_HEADERS, (b"content-length", b"%d" % len(body))]
    await app({"type": "http", "method": "POST", "path": PATH, "headers": headers}, receive, send)
    assert sent[0]["status"] == 200, sent


@asynccontextmanager
async def within(folder: Path, load: Load, model: str) -> AsyncIterator[tuple[Any, list[bytes]]]:
    """Run a gateway in this process, warmed; yields its ASGI app, and what to ask of it."""
    async with instant(folder) as provider:
        config = folder / "waterfall.yaml"
        ledger = {"url": f"sqlite:///{folder / 'waterfall.db'}"}
        config.write_text(json.dumps(configured(provider.url) | {"ledger": ledger}), "utf-8")
        config.chmod(0o600)
        with (folder / "log").open("wb") as log:
            gateway = Gateway(read_settings(config), None, log.fileno())
            try:
                app, bodies = gateway.main(), load.bodies(model)
                for body in bodies[: load.few]:
                    await ask(app, body)
                yield app, bodies
            finally:
                await gateway.close()


async def count(folder: Path, load: Load, model: str) -> dict[CodeType, float]:
    """Count the instructions of each function, a request of this load."""
    found: Counter[CodeType] = Counter()

    def stepped(frame: FrameType, event: str, _: object) -> Any:
        if event == "opcode":
            found[frame.f_code] += 1
        return stepped

    def entered(frame: FrameType, *_: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return stepped

    async with within(folder, load, model) as (app, bodies):
        sys.settrace(entered)
        try:
            for body in bodies[: load.count]:
                await ask(app, body)
        finally:
            sys.settrace(None)
    return {code: times / load.count for code, times in found.items()}


async def a_chunk(folder: Path, model: str) -> dict[CodeType, float]:
    """Count the instructions of each function, a chunk: what a longer stream takes more than a
    shorter one."""
    of: list[Counter[CodeType]] = []
    for chunks in (SHORT, LONG):
        load = Load("", stream=True, pace=f"0/{_GAP}/{chunks}", width=1, count=4, few=4)
        home = folder / str(chunks)
        home.mkdir()
        of.append(Counter(await count(home, load, model)))
    short, long = of
    long.subtract(short)
    return {code: times / (LONG - SHORT) for code, times in long.items()}


def told(found: Mapping[CodeType, float], top: int, each: str) -> list[str]:
    """Write the sum, and the functions that take most of it."""
    rows = sorted(found.items(), key=lambda row: -row[1])[:top]
    lines = [f"{sum(found.values()):9,.0f} instructions a {each}"]
    for code, times in rows:
        place = "/".join(Path(code.co_filename).parts[-2:])
        lines.append(f"{times:9,.0f} {place} {code.co_qualname}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.steps", description=__doc__)
    parser.add_argument("--model", default="waterfall", help="what is asked for")
    parser.add_argument("--stream", action="store_true", help="what a chunk of a stream takes")
    parser.add_argument("--top", type=int, default=30, help="functions that are listed")
    chosen = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="waterfall-steps-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if chosen.stream:
            found = runner.run(a_chunk(Path(folder), chosen.model))
        else:
            found = runner.run(count(Path(folder), PLAIN, chosen.model))
    print("\n".join(told(found, chosen.top, "chunk" if chosen.stream else "request")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
