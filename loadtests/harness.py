"""What every proof stands on: a gateway and its upstreams as processes, a client that reads all.

The gateway is started as a user would start it, spoken to over sockets, and judged by its ledger
and by its upstreams' own logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil

from gateway.upstreams.http1 import HttpError, Pool, Timeouts
from gateway.upstreams.simulated.log import read_log

ROOT = Path(__file__).resolve().parent.parent
CHAT = "/v1/chat/completions"
PATIENT = Timeouts(connect=10, first_token=60, silence=60, total=120)
START_WITHIN = 60.0
"""Seconds: a ceiling for hangs, not a promise."""
_JSON = (b"content-type", b"application/json")


class ProofError(Exception):
    """The proof could not be carried out: neither held nor broken."""


@dataclass
class Proof:
    """One proof's result. `promises` are (sentence, held); `figures` are shown in order."""

    name: str
    promises: list[tuple[str, bool]] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def promise(self, sentence: str, *, held: bool) -> None:
        """Note a promise and whether it was kept."""
        self.promises.append((sentence, held))

    def none_of(self, sentence: str, broken: Sequence[object]) -> None:
        """Note a promise that is kept when `broken` is empty; the first of them are shown."""
        self.promise(sentence, held=not broken)
        self.faults += [f"{sentence}: not so for {each}" for each in broken[:5]]
        if len(broken) > 5:
            self.faults.append(f"{sentence}: and {len(broken) - 5} more")

    @property
    def holds(self) -> bool:
        """Was every promise kept (and was there one)?"""
        return bool(self.promises) and all(held for _, held in self.promises)


class Process:
    """A child with its output in a file, of the modules that lie in `source`."""

    def __init__(
        self, command: Sequence[str], output: Path, cwd: Path | None = None, source: Path = ROOT
    ) -> None:
        self._output = output
        kept = {k: v for k, v in os.environ.items() if not k.startswith("WATERFALL_")}
        env = {**kept, "PYTHONPATH": str(source), "PYTHONUNBUFFERED": "1"}
        with output.open("ab") as sink:
            self.child = subprocess.Popen(command, stdout=sink, stderr=sink, env=env, cwd=cwd)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    def said(self) -> str:
        """Everything it has written."""
        return self._output.read_text("utf-8", "replace")

    async def says(self, pattern: str) -> str:
        """Wait for a line; return the first group. Raises ProofError when the child ends first."""
        until = time.monotonic() + START_WITHIN
        while (found := re.search(pattern, self.said())) is None:
            if self.child.poll() is not None or time.monotonic() > until:
                raise ProofError(f"never said {pattern!r}:\n{self.said()[-2000:]}")
            await asyncio.sleep(0.005)
        return found[1]

    def kill(self) -> None:
        """End it as the kernel would."""
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(START_WITHIN)

    async def stop(self) -> int:
        """Ask it to end; return its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.child.wait, START_WITHIN)

    def cpu(self) -> float:
        """CPU seconds of it and its children: user and system."""
        tree = [psutil.Process(self.pid)]
        tree += tree[0].children(recursive=True)
        return sum(sum(each.cpu_times()[:2]) for each in tree)

    def rss(self) -> int:
        """Resident bytes of it and its children."""
        tree = [psutil.Process(self.pid)]
        tree += tree[0].children(recursive=True)
        return sum(each.memory_info().rss for each in tree)


@contextlib.contextmanager
def _ended(process: Process) -> Iterator[None]:
    try:
        yield
    finally:
        if process.child.poll() is None:
            process.kill()


@dataclass
class Upstream:
    """A simulated provider: its process, its address, its log."""

    process: Process
    url: str
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Read its own log: one line a call."""
        return read_log(self.log) if self.log.exists() else []


@asynccontextmanager
async def upstream(folder: Path, name: str, *arguments: str) -> AsyncIterator[Upstream]:
    """Run a simulated provider in a process of its own."""
    log = folder / f"{name}.log.jsonl"
    command = [sys.executable, "-m", "gateway.upstreams.simulated", "--log", str(log), *arguments]
    process = Process(command, folder / f"{name}.out")
    with _ended(process):
        url = await process.says(r"listening (\S+)")
        yield Upstream(process, url, log)


class Gateway:
    """`waterfall serve` on a folder's waterfall.yaml: start it, kill it, start it again."""

    def __init__(self, folder: Path, document: Mapping[str, Any]) -> None:
        self.folder = folder
        self.ledger = folder / "waterfall.db"
        server = {"port": 0, "admin": "127.0.0.1:0", "drain": "10s", **document.get("server", {})}
        ledger = {"url": f"sqlite:///{self.ledger}", **document.get("ledger", {})}
        whole = {**document, "server": server, "ledger": ledger}
        self.config = folder / "waterfall.yaml"
        self.config.write_text(json.dumps(whole), encoding="utf-8")  # JSON is YAML
        self.config.chmod(0o600)
        self.starts = 0
        self.process: Process | None = None
        self.url = ""

    async def start(self) -> float:
        """Start it; return the seconds until /health/ready said yes."""
        self.starts += 1
        began = time.monotonic()
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(self.config)]
        output = self.folder / f"gateway-{self.starts}.out"
        self.process = Process(command, output, self.folder)
        self.url = (await self.process.says(r"serving (\S+)")).removesuffix("/v1")
        pool = Pool(self.url)
        try:
            while (await get(pool, "/health/ready"))[0] != 200:
                if time.monotonic() - began > START_WITHIN:
                    raise ProofError(f"never ready:\n{self.process.said()[-2000:]}")
                await asyncio.sleep(0.005)
            return time.monotonic() - began
        finally:
            await pool.aclose()

    @property
    def running(self) -> Process:
        """Its process. Raises ProofError while it has none."""
        if self.process is None:
            raise ProofError("the gateway was not started")
        return self.process

    async def metrics(self) -> str:
        """Read /metrics."""
        pool = Pool(self.url)
        try:
            return (await get(pool, "/metrics"))[1].decode()
        finally:
            await pool.aclose()

    async def stop(self) -> int:
        """Stop it as an operator would; return its exit code."""
        return await self.running.stop()

    def said(self) -> str:
        """What all of its processes wrote."""
        return "".join(p.read_text("utf-8", "replace") for p in self.folder.glob("gateway-*.out"))


@asynccontextmanager
async def gateway(folder: Path, document: Mapping[str, Any]) -> AsyncIterator[Gateway]:
    """Run a gateway; whatever process it has at the end is ended."""
    served = Gateway(folder, document)
    try:
        await served.start()
        yield served
    finally:
        if served.process is not None and served.process.child.poll() is None:
            served.process.kill()


# ------------------------------------------------------------------ the client


@dataclass
class Answer:
    """What came back. `whole` is False when the reply broke off, or we left."""

    status: int = 0
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    left_at: float | None = None
    """UNIX seconds when we hung up."""

    @property
    def events(self) -> list[bytes]:
        """The data of each event of a stream, read as naively as can be."""
        lines = self.body.replace(b"\r\n", b"\n").split(b"\n")
        return [line[6:] for line in lines if line.startswith(b"data: ")]

    @property
    def text(self) -> str:
        """What the first choice said, plain or streamed."""
        if self.headers.get(b"content-type") == b"application/json":
            return str(orjson.loads(self.body)["choices"][0]["message"]["content"])
        chunks = [orjson.loads(data) for data in self.events if data != b"[DONE]"]
        said = [c["delta"].get("content") for each in chunks for c in each.get("choices", ())]
        return "".join(part for part in said if part)


async def get(pool: Pool, path: str) -> tuple[int, bytes]:
    """Ask for a page; status 0 when nobody answered."""
    try:
        async with pool.exchange("GET", path, (), b"", PATIENT) as exchange:
            return exchange.status, await exchange.read_all()
    except HttpError:
        return 0, b""


async def ask(
    pool: Pool,
    body: Mapping[str, Any],
    headers: Sequence[tuple[bytes, bytes]] = (),
    leave_after: float | None = None,
) -> Answer:
    """Post one chat completion; with `leave_after`, hang up so many seconds later."""
    answer = Answer()
    raw = orjson.dumps(body)
    try:
        async with asyncio.timeout(leave_after):
            async with pool.exchange("POST", CHAT, (_JSON, *headers), raw, PATIENT) as exchange:
                answer.status, answer.headers = exchange.status, exchange.headers
                while block := await exchange.read():
                    answer.body += block
                answer.whole = True
    except TimeoutError:
        answer.left_at = time.time()  # noqa: TID251 - the upstream's log is on this clock
    except HttpError:
        pass  # the answer is not whole
    return answer


async def spread(work: Sequence[Any], width: int, one: Any) -> list[Any]:
    """Do `await one(item)` for every item, `width` at a time; the results in order."""
    waiting = iter(enumerate(work))
    done: dict[int, Any] = {}

    async def worker() -> None:
        for place, item in waiting:
            done[place] = await one(item)

    await asyncio.gather(*(worker() for _ in range(width)))
    return [done[place] for place in sorted(done)]


async def quiet(upstreams: Sequence[Upstream], within: float = 30.0) -> None:
    """Wait until no call is open at any upstream. Raises ProofError when that takes too long."""
    until = time.monotonic() + within
    while any(line["outcome"] == "open" for each in upstreams for line in each.lines()):
        if time.monotonic() > until:
            raise ProofError("a call stayed open at its upstream")
        await asyncio.sleep(0.1)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a share of the values lies; nan of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("nan")


def spread_of(values: Sequence[float], unit: str = "ms", digits: int = 1) -> str:
    """Write p50, p99 and max."""
    told = (percentile(values, 0.5), percentile(values, 0.99), max(values, default=float("nan")))
    return "p50 {:.{d}f}, p99 {:.{d}f}, max {:.{d}f} {u}".format(*told, d=digits, u=unit)
