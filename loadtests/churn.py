"""The proof that cancelled calls cannot wear the upstream client's pool out (F-07).

Twenty callers share a pool of ten, and most of their calls are cancelled at a random moment: in the
queue, while connecting, before the head, in the body. The upstream, in a thread and a loop of its
own, is slow, drops connections, and notes when each of its sockets is closed. Afterwards ten plain
calls must work, and nothing may be left over.

    python loadtests/churn.py [--cancels 20000] [--seed 7] [--loop uvloop|asyncio]
                              [--client own|httpx]

prints a line of JSON; the exit status is 1 when something does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

import uvloop

from gateway.upstreams.http1 import HttpError, Pool, Timeouts
from gateway.upstreams.through_httpx import HttpxPool

LIMIT = 10
CALLERS = 20
TIMEOUTS = Timeouts(connect=5, first_token=5, silence=5, total=10)
CALL = re.compile(rb"x-call: (\d+) (\w+)")
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


class Served(asyncio.Protocol):
    """One of the upstream's connections: answers as the request's header asks."""

    def __init__(self, gone: dict[int, float], dice: random.Random) -> None:
        self.gone = gone
        self.dice = dice
        self.call = -1
        self.had = b""
        self.later: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A request: its head, and then `{}`, in one piece or in two."""
        self.had += data
        if not self.had.endswith(b"{}"):
            return
        found, self.had = CALL.search(self.had), b""
        assert found
        self.call = int(found[1])
        if found[2] == b"plain":
            self.transport.write(WHOLE)
        elif self.dice.random() < 0.05:
            self.transport.abort()
        else:
            self._soon(self._head)

    def _soon(self, step: Callable[[], None]) -> None:
        delay = self.dice.expovariate(1 / 0.004)
        self.later = asyncio.get_running_loop().call_later(delay, step)

    def _head(self) -> None:
        self.transport.write(HEAD)
        self._soon(self._chunk)

    def _chunk(self) -> None:
        if self.dice.random() < 0.2:
            self.transport.write(b"0\r\n\r\n")
            self.call = -1
            if self.dice.random() < 0.1:
                self.transport.close()
        else:
            self.transport.write(b"5\r\nhello\r\n")
            self._soon(self._chunk)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Notes when the socket of an unfinished call was closed."""
        self.gone[self.call] = time.perf_counter()
        if self.later is not None:
            self.later.cancel()


class Upstream(threading.Thread):
    """A server in a thread of its own, so that the client's loop cannot hide its own delays."""

    def __init__(self, seed: int) -> None:
        super().__init__(daemon=True)
        self.gone: dict[int, float] = {}
        self.port = 0
        self.ready = threading.Event()
        self.loop = uvloop.new_event_loop()
        self.dice = random.Random(seed)

    def run(self) -> None:
        """Serves until stopped."""
        self.loop.run_until_complete(self._serve())
        self.loop.run_forever()

    async def _serve(self) -> None:
        server = await self.loop.create_server(
            lambda: Served(self.gone, self.dice), "127.0.0.1", 0, backlog=1024
        )
        self.port = cast("asyncio.Server", server).sockets[0].getsockname()[1]
        self.ready.set()


Client = Pool | HttpxPool
CLIENTS: dict[str, type[Client]] = {"own": Pool, "httpx": HttpxPool}


async def one_call(pool: Client, number: int, kind: str, stage: list[str]) -> bytes:
    """A call which tells in `stage[0]` how far it came."""
    headers = [(b"x-call", b"%d %s" % (number, kind.encode()))]

    def sent() -> None:
        stage[0] = "head"

    async with pool.exchange("POST", "/", headers, b"{}", TIMEOUTS, sent) as exchange:
        stage[0] = "body"
        return await exchange.read_all()


class Churn:
    """Callers that start calls and cancel them, until enough were cancelled."""

    def __init__(self, pool: Client, cancels: int, seed: int) -> None:
        self.pool = pool
        self.wanted = cancels
        self.dice = random.Random(seed)
        self.number = 0
        self.stages: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.cancelled_at: dict[int, float] = {}

    async def caller(self) -> None:
        """One caller."""
        while self.stages.total() < self.wanted:
            self.number += 1
            number, stage = self.number, ["before"]
            task = asyncio.create_task(one_call(self.pool, number, "slow", stage))
            await asyncio.wait([task], timeout=self.dice.choice([0, 0.002, 0.01, 0.04]))
            if task.done():
                self.ends["failed" if task.exception() else "served"] += 1
                assert task.exception() is None or isinstance(task.exception(), HttpError)
                continue
            at, reached = time.perf_counter(), stage[0]
            task.cancel()
            await asyncio.wait([task])
            if task.cancelled():
                self.stages[reached] += 1
                if reached != "before":
                    self.cancelled_at[number] = at


async def plain_calls(pool: Client, count: int) -> int:
    """How many of `count` simultaneous plain calls are answered."""
    calls = (one_call(pool, 10**9 + number, "plain", [""]) for number in range(count))
    return (await asyncio.gather(*calls, return_exceptions=True)).count(b"hello")


async def prove(
    upstream: Upstream, cancels: int, seed: int, client: type[Client] = Pool
) -> dict[str, object]:
    """Churns, then looks at what is left."""
    loop = asyncio.get_running_loop()
    first = client(f"http://127.0.0.1:{upstream.port}")
    await plain_calls(first, 1)  # a loop opens some things at its first connection
    await first.aclose()
    await asyncio.sleep(0.2)
    tasks, fds = len(asyncio.all_tasks()), _fds()
    pool = client(f"http://127.0.0.1:{upstream.port}", limit=LIMIT)
    churn = Churn(pool, cancels, seed)
    began = loop.time()
    await asyncio.gather(*(churn.caller() for _ in range(CALLERS)))
    took = loop.time() - began
    ended = loop.time()
    while pool.open > pool.idle and loop.time() - ended < 5:  # noqa: ASYNC110 - sets no event
        await asyncio.sleep(0.005)
    settled = loop.time() - ended
    served = await plain_calls(pool, 10)
    left = {"waiting": pool.waiting, "busy": pool.busy, "open": pool.open, "idle": pool.idle}
    await asyncio.sleep(0.2)
    delays = sorted(
        1000 * (upstream.gone[call] - at)
        for call, at in churn.cancelled_at.items()
        if call in upstream.gone
    )
    await pool.aclose()
    await asyncio.sleep(0.3)
    return {
        "seed": seed,
        "seconds": round(took, 1),
        "cancelled": dict(churn.stages),
        "not_cancelled": dict(churn.ends),
        "plain_calls_served": served,
        "settled_after_ms": round(1000 * settled, 1),
        **left,
        "tasks_left": len(asyncio.all_tasks()) - tasks,
        "fds_left": _fds() - fds,
        "closes_seen": len(delays),
        "close_ms_p50": round(delays[len(delays) // 2], 2),
        "close_ms_p99": round(delays[int(len(delays) * 0.99)], 2),
        "close_ms_max": round(delays[-1], 2),
    }


def _fds() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def holds(figures: dict[str, object]) -> bool:
    """Whether the pool is as good as new."""
    return (
        figures["plain_calls_served"] == 10
        and figures["open"] == figures["idle"]
        and not any(figures[name] for name in ("waiting", "busy", "tasks_left", "fds_left"))
    )


def main() -> int:
    """The command."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cancels", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    options.add_argument("--client", choices=CLIENTS, default="own")
    chosen = options.parse_args()
    upstream = Upstream(chosen.seed)
    upstream.start()
    upstream.ready.wait(10)
    factory = uvloop.new_event_loop if chosen.loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        figures = runner.run(prove(upstream, chosen.cancels, chosen.seed, CLIENTS[chosen.client]))
    print(json.dumps({"loop": chosen.loop, "client": chosen.client, **figures}))
    return 0 if holds(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
