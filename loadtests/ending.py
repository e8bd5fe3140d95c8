"""The proof that SIGTERM loses no stream: two hundred are open when it comes.

Half of them end by themselves within the drain, the others would go on for longer: those end with
an error event when the drain is over. All are in the ledger, and the exit code is 0.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gateway.upstreams.http1 import Pool
from loadtests.chaos_client import ending
from loadtests.harness import Answer, Gateway, Proof, ask, gateway, get, upstream
from loadtests.openloop import CONNECTIONS
from loadtests.reconcile import read_tables
from loadtests.stage import document

_LONG = "stall,after=3"
"""A stream that has begun, and does not end while anybody waits."""
_LATE = 6.0
"""Seconds after the drain by which all is over, on a machine that is busy."""


async def prove(folder: Path, streams: int = 200, drain: float = 6.0) -> Proof:
    """Run it, with two workers; `drain` are the seconds that they give to what is under way."""
    async with AsyncExitStack() as stack:
        each = f"{drain / 40:g}"  # some thirty tokens: most of the drain, and not all of it
        pace = ("--first-token", each, "--per-token", each, "--words-sigma", "0")
        provider = await stack.enter_async_context(upstream(folder, "provider", *pace))
        over = {
            "server": {"workers": 2, "drain": f"{drain:g}s"},
            "tiers": {"small": {"hold": "none"}},
        }
        served = await stack.enter_async_context(gateway(folder, document(provider.url, over)))
        pool = Pool(served.url, limit=CONNECTIONS)
        stack.push_async_callback(pool.aclose)
        tasks = [asyncio.create_task(ask(pool, *_asked(each))) for each in range(streams)]
        await _all_open(provider.log, streams)
        began, open_then = time.monotonic(), sum(not each.done() for each in tasks)
        served.running.child.send_signal(signal.SIGTERM)
        refused = await _not_ready(served, began)
        answers = await asyncio.gather(*tasks)
        ended = time.monotonic() - began
        code = await asyncio.to_thread(served.running.child.wait, 60)
        whole = time.monotonic() - began
    proof = Proof("ending")
    proof.figures["streams open at SIGTERM"] = str(open_then)
    proof.promise("all streams were open then", held=open_then == streams)
    _judge(proof, answers, read_tables(served.ledger), len(provider.lines()))
    proof.figures["not ready after"] = f"{1000 * refused:.0f} ms"
    proof.figures["the last stream's end, and the process's"] = f"{ended:.1f} s, {whole:.1f} s"
    proof.promise("all is over when the drain is", held=whole < drain + _LATE)
    proof.promise("no traceback, exit code 0", held="Traceback" not in served.said() and not code)
    return proof


def _asked(place: int) -> tuple[dict[str, Any], list[tuple[bytes, bytes]]]:
    """Write a request; each second one is answered without an end."""
    body: dict[str, Any] = {
        "model": "small",
        "stream": True,
        "messages": [{"role": "user", "content": f"Tell me about number {place}."}],
    }
    if place % 2:
        body["simulate"] = {"small": _LONG}
    return body, [(b"x-request-id", f"s{place:04d}".encode())]


async def _all_open(log: Path, streams: int) -> None:
    async with asyncio.timeout(60):
        while not log.exists() or log.read_bytes().count(b"\n") < streams:  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.02)


async def _not_ready(served: Gateway, began: float) -> float:
    """Wait until nobody says any more that it is ready; return the seconds since `began`."""
    async with asyncio.timeout(_LATE):
        while True:
            pool = Pool(served.url)
            status, _ = await get(pool, "/health/ready")
            await pool.aclose()
            if status != 200:
                return time.monotonic() - began
            await asyncio.sleep(0.01)


def _judge(
    proof: Proof, answers: Sequence[Answer], tables: dict[str, list[dict[str, Any]]], calls: int
) -> None:
    ends = Counter(ending(answer) for answer in answers)
    kept = {row["request_id"]: row for row in tables["request"]}
    proof.figures["how they ended"] = ", ".join(f"{name} {n}" for name, n in ends.most_common())
    proof.promise(
        "each stream ends whole or with an error, and none is cut",
        held=set(ends) <= {"served", "broken", "refused"},
    )
    proof.promise(
        "some of them ended by themselves", held=ends["served"] >= max(1, len(answers) // 4)
    )
    proof.promise("the drain's end came for others", held=ends["broken"] + ends["refused"] > 0)
    proof.promise(
        "each is in the ledger, once", held=len(tables["request"]) == len(kept) == len(answers)
    )
    proof.promise("so is each call", held=len(tables["call"]) == calls == len(answers))
    proof.none_of(
        "no call is left unsettled",
        [call["name"] for call in tables["call"] if call["status"] == "unsettled"],
    )
