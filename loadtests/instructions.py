"""Instructions of the processor a request: `python -m loadtests.instructions [--model M]`.

Runs the gateway in a process under valgrind's callgrind (Debian's package `valgrind`), which
counts each instruction, those of C as well, by thread and by function of C. No clock, so that a
busy machine says the same as a quiet one, to a hundredth. What it does not see is what an
instruction waits for, which is where caches come in; uvicorn is not in it.

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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import uvloop

from loadtests.harness import ROOT
from loadtests.steps import PLAIN, ask, within

_SETTLED = 2.0
"""Seconds after the warming, and after the last request, for what is written later."""
_LEAST = 1000
"""A thread of fewer instructions a request is not told of."""
_NAME = re.compile(r"\((\d+)\)(?: (.*))?")


async def _asked(folder: Path, model: str, times: int) -> None:
    """Ask under callgrind's eyes: they are opened after the warming and closed before the end."""
    async with within(folder, PLAIN, model) as (app, bodies):
        for body in bodies:
            await ask(app, body)
        gc.collect()
        gc.freeze()
        await asyncio.sleep(_SETTLED)
        await asyncio.to_thread(_watched, "on")
        for number in range(times):
            await ask(app, bodies[number % len(bodies)])
        await asyncio.sleep(_SETTLED)
        await asyncio.to_thread(_watched, "off")


def _watched(how: str) -> None:
    subprocess.run(
        ["callgrind_control", "-i", how, str(os.getpid())], check=True, capture_output=True
    )


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


def told(found: Mapping[int, Mapping[str, int]], times: int, top: int) -> list[str]:
    """Write each thread's sum for a request, and the functions that take most of it."""
    lines = []
    for thread, costs in found.items():
        each = sum(costs.values()) / times
        if each < _LEAST:
            continue
        lines.append(f"{each:11,.0f} instructions a request, thread {thread}")
        rows = sorted(costs.items(), key=lambda row: -row[1])[:top]
        lines += [f"{cost / times:11,.0f} {name}" for name, cost in rows]
    return lines


def count(folder: Path, model: str, times: int) -> dict[int, Counter[str]]:
    """Count by thread and function, for so many requests. Raises CalledProcessError."""
    written = folder / "callgrind"
    command = [
        "valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes",
        f"--callgrind-out-file={written}", sys.executable, "-m", "loadtests.instructions",
        "--model", model, "--times", str(times), "--within", str(folder),
    ]  # fmt: skip
    # Names of one hash, and one thread of numpy's: else two runs differ.
    alike = {**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=alike, stderr=subprocess.DEVNULL)
    found = {}
    for path in sorted(folder.glob("callgrind-*")):
        with path.open("r", encoding="utf-8", errors="replace") as lines:
            found[int(path.name.rpartition("-")[2])] = read_profile(lines)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.instructions", description=__doc__)
    parser.add_argument("--model", default="waterfall", help="what is asked for")
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
        found = count(Path(folder), chosen.model, chosen.times)
    print("\n".join(told(found, chosen.times, chosen.top)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
