"""Instructions of the processor a request: `python -m loadtests.instructions [--model M]`.

Runs the gateway in a process under valgrind's callgrind (Debian's package `valgrind`), which
counts each instruction, those of C as well, by thread and by function of C. No clock, so that a
busy machine says the same as a quiet one, to a hundredth. What it does not see is what an
instruction waits for, which is where caches come in; uvicorn is not in it.

With --stream it says what a chunk takes: the difference between longer and shorter streams, whose
chunks come one at a time, of a gateway that is served: uvicorn is in it. Its models are those of
`loadtests.steps`, and `hop`, which is the bare hop (`loadtests/hop.py`).

The first thread is the loop's. The others (the ledger's writer, the log, tuning) also wake by the
clock, and under valgrind, some forty times slower, wake more often for each request than they do:
theirs is too much.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import uvloop

from gateway.upstreams.http1 import Pool
from loadtests.compare import Load, configured
from loadtests.harness import ROOT, Gateway, Process
from loadtests.harness import ask as read
from loadtests.stage import instant
from loadtests.steps import LONG, PLAIN, SHORT, ask, within

_SETTLED = 2.0
"""Seconds after the warming, and after the last request, for what is written later."""
_LEAST = 1000
"""A thread of fewer instructions a request is not told of."""
_GAP = 12
"""Milliseconds between two chunks: some forty times slower, one is done with before the next."""
_STREAMS = 4
"""Streams of each length that are counted."""
_PHASE = LONG * _GAP * _STREAMS / 1e3 + 4
"""Seconds in which streams of either length are asked for: what the clock has a gateway do beside
them is the same in both."""
_HOP = "hop"
_NAME = re.compile(r"\((\d+)\)(?: (.*))?")


async def _asked(folder: Path, model: str, times: int) -> None:
    """Ask under callgrind's eyes: they are opened after the warming and closed before the end."""
    async with within(folder, PLAIN, model) as (app, bodies):
        for body in bodies:
            await ask(app, body)
        gc.collect()
        gc.freeze()
        await asyncio.sleep(_SETTLED)
        await asyncio.to_thread(_control, os.getpid(), "--instr=on")
        for number in range(times):
            await ask(app, bodies[number % len(bodies)])
        await asyncio.sleep(_SETTLED)
        await asyncio.to_thread(_control, os.getpid(), "--instr=off")


def _control(pid: int, how: str) -> None:
    subprocess.run(["callgrind_control", how, str(pid)], check=True, capture_output=True)


def _watching(written: Path) -> list[str]:
    """Write the command under which Python is counted, from when it is told to."""
    return [
        # Names of one hash, and one thread of numpy's: else two runs differ.
        "env", "PYTHONHASHSEED=0", "OPENBLAS_NUM_THREADS=1",
        "valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes",
        f"--callgrind-out-file={written}",
    ]  # fmt: skip


def read_profile(lines: Iterator[str]) -> Counter[str]:
    """Add up a callgrind file's own cost by function; names are written out once, then numbered."""
    found: Counter[str] = Counter()
    names: dict[str, str] = {}
    current, called = "", False
    for line in lines:
        key, _, value = line.partition("=")
        if key in ("fn", "cfn"):
            if (match := _NAME.match(value)) is None:
                raise ValueError(f"callgrind wrote a function without a number: {line!r}")
            number, name = match.groups()
            names[number] = name.strip() if name else names[number]
            current = names[number] if key == "fn" else current
        elif key == "calls":
            called = True  # the next line's cost is the callee's, which has it of its own
        elif line[:1] in "0123456789+-*" and current:
            found[current] += 0 if called else int(line.split()[1])
            called = False
    return found


def told(
    found: Mapping[int, Mapping[str, int]], times: int, top: int, of: str = "request"
) -> list[str]:
    """Write each thread's sum for one of so many, and the functions that take most of it."""
    lines = []
    for thread, costs in found.items():
        each = sum(costs.values()) / times
        if each < _LEAST:
            continue
        lines.append(f"{each:11,.0f} instructions a {of}, thread {thread}")
        rows = sorted(costs.items(), key=lambda row: -row[1])[:top]
        lines += [f"{cost / times:11,.0f} {name}" for name, cost in rows]
    return lines


def count(folder: Path, model: str, times: int) -> dict[int, Counter[str]]:
    """Count by thread and function, for so many requests. Raises CalledProcessError."""
    written = folder / "callgrind"
    command = [
        *_watching(written), sys.executable, "-m", "loadtests.instructions",
        "--model", model, "--times", str(times), "--within", str(folder),
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
    return _read(written, "")


def _read(written: Path, part: str) -> dict[int, Counter[str]]:
    """Read what callgrind has written of each thread, in its so-manieth dump where it has some."""
    found = {}
    for path in sorted(written.parent.glob(f"{written.name}{part}-*")):
        with path.open("r", encoding="utf-8", errors="replace") as lines:
            found[int(path.name.rpartition("-")[2])] = read_profile(lines)
    return found


def more(
    long: Mapping[int, Counter[str]], short: Mapping[int, Counter[str]]
) -> dict[int, Counter[str]]:
    """What longer ones take more than shorter ones; where that is less, it is taken away."""
    found = {}
    for thread, costs in long.items():
        found[thread] = Counter(costs)
        found[thread].subtract(short.get(thread, Counter()))
    return found


async def count_chunks(folder: Path, model: str) -> dict[int, Counter[str]]:
    """Count by thread and function, for `CHUNKS` chunks of streams. Raises CalledProcessError, and
    ProofError when it does not start."""
    written = folder / "callgrind"
    async with _served(folder, model, written) as (process, url):
        pool = Pool(url)
        try:
            for number in range(_STREAMS):
                await _stream(pool, model, SHORT, number)
            await asyncio.to_thread(_control, process.pid, "--instr=on")
            await _stream(pool, model, SHORT, 0)  # valgrind translates what it sees first
            for chunks in (SHORT, LONG):
                await asyncio.to_thread(_control, process.pid, "--zero")
                until = asyncio.get_running_loop().time() + _PHASE
                for number in range(_STREAMS):
                    await _stream(pool, model, chunks, number)
                await asyncio.sleep(until - asyncio.get_running_loop().time())
                await asyncio.to_thread(_control, process.pid, "--dump")
        finally:
            await pool.aclose()
    return more(_read(written, ".2"), _read(written, ".1"))


CHUNKS = (LONG - SHORT) * _STREAMS
"""How many more chunks the longer streams have."""


@asynccontextmanager
async def _served(folder: Path, model: str, written: Path) -> AsyncIterator[tuple[Process, str]]:
    """Serve a gateway, or the bare hop, in front of an instant upstream, under callgrind's eyes."""
    async with instant(folder) as provider:
        if model == _HOP:
            serve, says = ["-m", "loadtests.hop", provider.url], r"listening (\S+)"
        else:
            config = Gateway(folder, configured(provider.url)).config
            serve, says = ["-m", "gateway", "serve", "--config", str(config)], r"serving (\S+)/v1"
        command = [*_watching(written), sys.executable, *serve]
        process = Process(command, folder / "served.out", folder)
        try:
            yield process, await process.says(says)
        finally:
            process.kill()


async def _stream(pool: Pool, model: str, chunks: int, number: int) -> None:
    load = Load("", stream=True, pace=f"0/{_GAP}/{chunks}", width=1, count=1, few=1)
    answer = await read(pool, orjson.loads(load.bodies(model)[number]))
    assert answer.whole
    assert len(answer.events) > chunks, answer.body[:200]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.instructions", description=__doc__)
    parser.add_argument("--model", default="waterfall", help="what is asked for")
    parser.add_argument("--stream", action="store_true", help="what a chunk of a stream takes")
    parser.add_argument("--times", type=int, default=200, help="requests that are counted")
    parser.add_argument("--top", type=int, default=20, help="functions that are listed")
    parser.add_argument("--within", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.within is not None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_asked(chosen.within, chosen.model, chosen.times))
        return 0
    if shutil.which("valgrind") is None:
        print("valgrind is not here: apt-get install valgrind", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="waterfall-instructions-") as folder:
        if chosen.stream:
            chunks = asyncio.run(count_chunks(Path(folder), chosen.model))
            lines = told(chunks, CHUNKS, chosen.top, "chunk")
        else:
            found = count(Path(folder), chosen.model, chosen.times)
            lines = told(found, chosen.times, chosen.top)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
