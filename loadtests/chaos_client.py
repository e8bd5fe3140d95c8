"""The clients of a random-fault run: each request is sent at its time, and ends in one way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from gateway.upstreams.http1 import Pool
from loadtests import mix
from loadtests.chaos_plan import Due
from loadtests.harness import Answer, ProofError

Ending = Literal["served", "refused", "broken", "left", "cut", "strange"]
"""A whole reply; an error in OpenAI's shape; a stream that ended with an error event; our own
leaving; a connection that was lost; and what is none of these, which must not be."""
_PATIENCE = 150.0
"""Seconds in which everything that was sent has ended: a ceiling for hangs, not a promise."""


@dataclass(frozen=True, slots=True)
class End:
    """How a request ended for its client. Times are UNIX seconds; `recorded` says that the gateway
    took it on (it names its attempts), so that its row must be in the ledger."""

    name: str
    ending: Ending
    status: int
    began: float
    ended: float
    recorded: bool


async def send_all(pool: Pool, work: Sequence[Due], began: float) -> list[End]:
    """Send each request at its time after `began` (monotonic seconds), whatever the answers do;
    wait for all. Raises ProofError where one never ends."""
    tasks = []
    for due in work:
        if (wait := began + due.at - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(_one(pool, due.ask)))
    if not tasks:
        return []
    _, pending = await asyncio.wait(tasks, timeout=_PATIENCE)
    if pending:
        raise ProofError(f"{len(pending)} requests never ended")
    return [task.result() for task in tasks]


async def _one(pool: Pool, ask: mix.Ask) -> End:
    began = time.time()  # noqa: TID251 - as the kills and the upstreams' logs
    answer = await mix.send(pool, ask)
    recorded = answer.whole and b"x-waterfall-attempts" in answer.headers
    ended = time.time()  # noqa: TID251
    return End(ask.name, ending(answer), answer.status, began, ended, recorded)


def ending(answer: Answer) -> Ending:
    """Say how a request ended for its client."""
    if answer.left_at is not None:
        return "left"
    if not answer.whole:
        return "cut"
    if b"event-stream" in answer.headers.get(b"content-type", b""):
        return _stream(answer)
    try:
        told = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return "strange"
    if answer.status == 200:
        return "served" if told.get("choices") else "strange"
    shape = {"message", "type", "param", "code"}
    return "refused" if shape <= set(told.get("error") or ()) else "strange"


def _stream(answer: Answer) -> Ending:
    done = answer.events.count(b"[DONE]")
    failed = answer.body.count(b"event: error")
    if (done, failed) == (1, 0):
        return "served" if answer.events[-1] == b"[DONE]" else "strange"
    return "broken" if (done, failed) == (0, 1) else "strange"
