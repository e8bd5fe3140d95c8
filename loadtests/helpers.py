"""What a user's function costs apart from the gateway, and in a thread of it, as it once was.

    python -m loadtests.helpers [--calls 2000]

Each is given a chat request of 1, 100 and 1,000 KB and returns True: wall clock of one call after
the other, on the gateway's event loop. Then a function that never ends is called in helpers, and
the longest time is told for which the event loop did not come to its turn.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from gateway.waiting.function import UserFunction
from gateway.waiting.threads import Threads
from loadtests.harness import percentile

MODULE = """
def yes(request, reply):
    return True


async def later(request, reply):
    return True


def never(request, reply):
    while True:
        pass
"""
SIZES = (1, 100, 1_000)
REPLY = {"text": "42", "choices": [{"text": "42", "tool_calls": [], "finish_reason": "stop"}]}
HUNG = 8

Call = Callable[[dict[str, Any]], Awaitable[object]]


async def measured(call: Call, body: dict[str, Any], calls: int) -> str:
    """Time calls; say so in milliseconds."""
    took = []
    for _ in range(calls):
        began = time.perf_counter()
        await call(body)
        took.append((time.perf_counter() - began) * 1_000)
    return f"p50 {percentile(took, 0.5):.3f} ms, p99 {percentile(took, 0.99):.3f} ms"


async def costs(calls: int) -> None:
    """Print what a call costs, by the way it is made and by the request's size."""
    began = time.perf_counter()
    plain = UserFunction("helped_function", "yes")
    print(f"start: {(time.perf_counter() - began) * 1_000:.0f} ms")
    awaited, threads = UserFunction("helped_function", "later"), Threads()

    async def threaded(body: dict[str, Any]) -> object:
        copied = await threads.run(lambda: copy.deepcopy(body))
        return await threads.run(lambda: bool(copied))

    ways: dict[str, Call] = {
        "helper": lambda body: plain(body, REPLY),
        "helper, async": lambda body: awaited(body, REPLY),
        "thread": threaded,
    }
    for size in SIZES:
        message = {"role": "user", "content": "x" * 1_000}
        body = {"model": "m", "messages": [dict(message) for _ in range(size)]}
        for way, call in ways.items():
            print(f"{size:>5} KB, {way:<14} {await measured(call, body, max(calls // size, 100))}")
    await plain.aclose()
    await awaited.aclose()
    threads.close()


async def held_up() -> None:
    """Print for how long the event loop stands still while functions never end."""
    function = UserFunction("helped_function", "never")

    async def hang() -> None:
        try:
            async with asyncio.timeout(1):
                await function({}, REPLY)
        except TimeoutError:
            return

    hung = [asyncio.create_task(hang()) for _ in range(HUNG)]
    longest, last = 0.0, time.perf_counter()
    while not all(each.done() for each in hung):
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    await function.aclose()
    print(
        f"{HUNG} calls that never end: the event loop's longest pause is {longest * 1_000:.0f} ms"
    )


async def run(calls: int) -> None:
    """Do both."""
    await costs(calls)
    await held_up()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "helped_function.py").write_text(MODULE)
        sys.path.insert(0, folder)
        uvloop.run(run(args.calls))


if __name__ == "__main__":
    main()
