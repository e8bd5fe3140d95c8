"""The proof that the ledger is the upstreams' own log: call by call, token by token, in dollars.

A thousand mixed requests with every fault; afterwards the gateway is stopped and its SQLite file is
read beside the logs that the upstreams wrote.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from gateway.upstreams.http1 import Pool
from loadtests import mix
from loadtests.harness import Answer, Proof, gateway, quiet, spread

Row = Mapping[str, Any]
ABSURD = 10**9
"""No usage that an upstream reports is this large, but for the scripted one."""


async def prove(folder: Path, requests: int = 1000, seed: int = 11) -> Proof:
    """Run it."""
    work = mix.asks(requests, seed)
    async with AsyncExitStack() as stack:
        upstreams = await mix.providers(stack, folder, seed)
        urls = {name: each.url for name, each in upstreams.items()}
        served = await stack.enter_async_context(gateway(folder, mix.document(urls)))
        pool = Pool(served.url)

        async def one(each: mix.Ask) -> Answer:
            return await mix.send(pool, each)

        got = await spread(work, mix.WIDTH, one)
        await quiet(list(upstreams.values()))
        await pool.aclose()
        metrics = await served.metrics()
        code = await served.stop()
        lines = [line for each in upstreams.values() for line in each.lines()]
        proof = Proof("reconcile")
        _tell_load(proof, work, got, lines)
        tables = read_tables(served.ledger)
        judge_calls(proof, tables["call"], lines)
        _judge_money(proof, tables, metrics)
        _judge_manners(proof, got, served.said(), code)
        return proof


def read_tables(ledger: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the ledger; each call with its request's name."""
    queries = {
        "request": "SELECT * FROM request",
        "attempt": "SELECT * FROM attempt",
        "check_result": "SELECT * FROM check_result",
        "call": "SELECT c.*, r.request_id AS name FROM call c JOIN request r ON r.id = c.request "
        "ORDER BY c.started_at",
    }
    with closing(sqlite3.connect(ledger)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: [dict(row) for row in connection.execute(query)]
            for table, query in queries.items()
        }


def _tell_load(
    proof: Proof, work: Sequence[mix.Ask], got: Sequence[Answer], lines: Sequence[Row]
) -> None:
    faults = Counter(line["fault"] for line in lines if line["fault"])
    streams = sum(bool(each.body.get("stream")) for each in work)
    statuses = Counter(answer.status for answer in got if answer.left_at is None)
    proof.figures["requests"] = f"{len(work):,} ({streams:,} streamed), {mix.WIDTH} at a time"
    proof.figures["kinds of fault met"] = f"{len(faults)}, {faults.total():,} times"
    proof.figures["clients that hung up"] = f"{sum(a.left_at is not None for a in got):,}"
    proof.figures["statuses"] = ", ".join(f"{s}: {n:,}" for s, n in sorted(statuses.items()))


def judge_calls(proof: Proof, calls: Sequence[Row], lines: Sequence[Row]) -> None:
    """Compare call by call: each request's calls of a model, in order, with the log's."""
    theirs, ours = _by_request(lines, "user", "received_at"), _by_request(calls, "name")
    keys = sorted(theirs.keys() | ours.keys(), key=str)
    proof.figures["calls in the upstreams' logs"] = f"{len(lines):,}"
    proof.figures["calls in the ledger"] = f"{len(calls):,}"
    unequal = [
        (key, f"log {len(theirs[key])}, ledger {len(ours[key])}")
        for key in keys
        if len(theirs[key]) != len(ours[key])
    ]
    proof.none_of("the ledger's calls are the upstreams' calls", unequal)
    pairs = [pair for key in keys for pair in zip(ours[key], theirs[key], strict=False)]
    judge_tokens(proof, pairs)


def reported(line: Row) -> Row | None:
    """What the upstream said it used, if it said something that can be."""
    usage = line["usage"]
    if not usage or not 0 <= usage["prompt_tokens"] < ABSURD or usage["completion_tokens"] < 0:
        return None
    return usage


def _by_request(
    rows: Iterable[Row], name: str, order: str = "started_at"
) -> dict[tuple[str, str], list[Row]]:
    found = defaultdict(list)
    for row in sorted(rows, key=lambda row: row[order]):
        found[row[name], row["model"]].append(row)
    return found


def judge_tokens(proof: Proof, pairs: Iterable[tuple[Row, Row]]) -> None:
    """Compare tokens wherever usage was reported and the reply was read to its end."""
    wrong, unflagged, exact, estimated = [], [], 0, 0
    for call, line in pairs:
        usage = reported(line)
        unread = call["status"] != "ok"  # left, cancelled or failed: the report may be unread
        if call["estimated"]:
            estimated += 1
            if usage is not None and not unread:
                wrong.append((call["name"], call["model"], "estimated though reported", usage))
        elif usage is None:
            if call["prompt_tokens"] or call["completion_tokens"]:
                unflagged.append((call["name"], call["model"], call["status"], call["error"]))
        elif not _same_tokens(call, usage):
            wrong.append((call["name"], call["model"], dict(call), usage))
        else:
            exact += 1
    proof.figures["calls with reported usage, equal to the token"] = f"{exact:,}"
    proof.figures["calls with estimated usage, flagged"] = f"{estimated:,}"
    proof.none_of("tokens are equal wherever the upstream reported usage", wrong)
    proof.none_of("tokens that nobody reported are flagged as estimated", unflagged)


def _same_tokens(call: Row, usage: Row) -> bool:
    if call["error"] and not call["prompt_tokens"]:  # an error bills nothing
        return False
    details = usage.get("prompt_tokens_details") or {}
    return (call["prompt_tokens"], call["completion_tokens"], call["cached_tokens"]) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
        details.get("cached_tokens", 0),
    )


def cost(call: Row) -> int:
    """Price a call from the configuration's own figures, in nano-dollars, by decimal arithmetic."""
    price = mix.PRICES[call["tier"]]
    if not (call["prompt_tokens"] or call["completion_tokens"]):
        return 0
    fresh = call["prompt_tokens"] - call["cached_tokens"]
    parts = (
        (fresh, price["input"]),
        (call["cached_tokens"], price.get("cached_input", price["input"])),
        (call["completion_tokens"], price["output"]),
    )
    whole = Decimal(str(price.get("request", 0))) * 10**9
    for tokens, dollars in parts:
        exact = Decimal(tokens) * Decimal(str(dollars)) * 1000
        whole += exact.to_integral_value(ROUND_HALF_UP)
    return int(whole)


def _judge_money(
    proof: Proof, tables: Mapping[str, Sequence[Mapping[str, Any]]], metrics: str
) -> None:
    by_attempt: dict[tuple[int, int], int] = defaultdict(int)
    for call in tables["call"]:
        if call["purpose"] != "check":  # what those cost, their check costs
            by_attempt[call["request"], call["attempt"]] += call["cost"]
    scoring = {key[0]: cost for key, cost in by_attempt.items() if key[1] is None}
    for check in tables["check_result"]:
        by_attempt[check["request"], check["attempt"]] += check["cost"]
    by_request: dict[int, int] = defaultdict(int, scoring)
    for attempt in tables["attempt"]:
        by_request[attempt["request"]] += attempt["cost"]
    proof.none_of(
        "each call costs what the price list says",
        [(c["name"], c["cost"], cost(c)) for c in tables["call"] if c["cost"] != cost(c)],
    )
    proof.none_of(
        "an attempt costs what its calls and checks cost",
        [a for a in tables["attempt"] if a["cost"] != by_attempt[a["request"], a["seq"]]],
    )
    proof.none_of(
        "a request costs what its attempts and its scorer's calls cost",
        [r["request_id"] for r in tables["request"] if r["cost"] != by_request[r["id"]]],
    )
    whole = sum(row["cost"] for row in tables["request"])
    counted = sum(
        _nano(value)
        for value in re.findall(r"^waterfall_cost_usd_total\{.*\} (\S+)", metrics, re.MULTILINE)
    )
    proof.figures["cost in the ledger"] = f"${whole / 1e9:.9f}"
    proof.figures["cost in the metrics"] = f"${counted / 1e9:.9f}"
    proof.promise("the metrics' cost is the ledger's to the nano-dollar", held=whole == counted)
    requests = sum(
        int(float(value))
        for value in re.findall(r"^waterfall_requests_total\{.*\} (\S+)", metrics, re.MULTILINE)
    )
    proof.promise(
        "the metrics count the ledger's requests", held=requests == len(tables["request"])
    )


def _nano(text: str) -> int:
    return int((Decimal(text) * 10**9).to_integral_value(ROUND_HALF_UP))


def _judge_manners(proof: Proof, got: Sequence[Answer], said: str, code: int) -> None:
    stayed = [answer for answer in got if answer.left_at is None]
    proof.promise("the gateway writes no traceback", held="Traceback" not in said)
    proof.none_of("no client gets a 500", [a.body[:300] for a in stayed if a.status == 500])
    proof.none_of("every client gets an answer", [a.status for a in stayed if not a.status])
    proof.promise("it stops with exit code 0", held=code == 0)
