"""The proof that the ledger is the upstreams' own log: call by call, token by token, in dollars.

Five thousand mixed requests with every fault, at two workers, while the database is locked for a
minute in the middle, or its server stopped; afterwards the gateway is stopped, and its ledger read
beside its metrics and the logs that the upstreams wrote.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gateway.store.connection import Place
from gateway.store.ledgers import reading
from gateway.upstreams.http1 import Pool
from loadtests import mix, tiers
from loadtests.databases import Opening, sqlite_file
from loadtests.harness import Answer, Proof, gateway, quiet, spread
from loadtests.tiers import booked, is_exact, judge_tiers, reported, samples, used

Row = Mapping[str, Any]
SHADOWS = 1.0
"""Seconds in which what goes on in the shadow ends, once all upstreams are quiet."""


async def prove(
    folder: Path,
    requests: int = 5000,
    seed: int = 11,
    workers: int = 2,
    outage: float = 60.0,
    opening: Opening = sqlite_file,
) -> Proof:
    """Run it; the database is away for `outage` seconds from a third of the requests on."""
    work = mix.asks(requests, seed)
    async with AsyncExitStack() as stack:
        database = stack.enter_context(opening(folder))
        upstreams = await mix.providers(stack, folder, seed)
        urls = {name: each.url for name, each in upstreams.items()}
        document = mix.document(urls) | {"server": {"workers": workers}}
        document["ledger"] = {"url": database.url}
        served = await stack.enter_async_context(gateway(folder, document))
        pool = Pool(served.url)

        async def one(each: mix.Ask) -> Answer:
            return await mix.send(pool, each)

        third, rest = len(work) // 3, len(work) // 10
        got = await spread(work[:third], mix.WIDTH, one)
        with database.away():
            began = time.monotonic()
            got += await spread(work[third:-rest], mix.WIDTH, one)
            await asyncio.sleep(outage - (time.monotonic() - began))
            waiting = samples(await served.metrics())["ledger_spool_bytes"]
        got += await spread(work[-rest:], mix.WIDTH, one)
        await quiet(list(upstreams.values()))
        await asyncio.sleep(SHADOWS)
        await pool.aclose()
        metrics = await served.metrics()
        code = await served.stop()
        lines = [line for each in upstreams.values() for line in each.lines()]
        proof = Proof("reconcile" if opening is sqlite_file else "reconcile_server")
        _tell_load(proof, work, got, lines)
        proof.figures["workers"] = str(workers)
        proof.figures[database.how] = f"{outage:g} s; then {waiting:,.0f} bytes waited"
        proof.promise("what could not be written waited", held=waiting > 0)
        tables = read_tables(database.place)
        pairs = judge_calls(proof, tables["call"], lines)
        _judge_money(proof, tables, metrics)
        judge_tiers(proof, tables["call"], pairs, metrics)
        _judge_manners(proof, got, served.said(), code)
        return proof


def read_tables(place: Place) -> dict[str, list[dict[str, Any]]]:
    """Read the ledger; each call with its request's name."""
    queries = {
        "request": "SELECT * FROM request",
        "attempt": "SELECT * FROM attempt",
        "check_result": "SELECT * FROM check_result",
        "call": "SELECT c.*, r.request_id AS name FROM call c JOIN request r ON r.id = c.request "
        "ORDER BY c.started_at",
    }
    with reading(place) as connection:
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


def judge_calls(proof: Proof, calls: Sequence[Row], lines: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Compare call by call: each request's calls of a model with the log's (all requests' together
    where the log has no name). Returns the pairs of what is exact."""
    theirs = _by_request(lines, "user", "received_at")
    ours = _by_request(calls, "name", "started_at")
    keys = sorted(theirs.keys() | ours.keys(), key=str)
    proof.figures["calls in the upstreams' logs"] = f"{len(lines):,}"
    proof.figures["calls in the ledger"] = f"{len(calls):,}"
    unequal = [
        (key, f"log {len(theirs[key])}, ledger {len(ours[key])}")
        for key in keys
        if len(theirs[key]) != len(ours[key])
    ]
    proof.none_of("the ledger's calls are the upstreams' calls", unequal)
    pairs = [pair for key in keys for pair in _same(ours[key], theirs[key])]
    judge_tokens(proof, pairs)
    return [(call, line) for call, line in pairs if is_exact(call)]


def _by_request(
    rows: Iterable[Row], name: str, order: str
) -> dict[tuple[str | None, str], list[Row]]:
    found = defaultdict(list)
    for row in sorted(rows, key=lambda row: row[order]):
        found[None if row["model"] in mix.NAMELESS else row[name], row["model"]].append(row)
    return found


def _same(ours: Sequence[Row], theirs: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Pair what has the same tokens, since of two calls beside each other the later may arrive
    first; what is left is paired in order."""
    free, left = list(theirs), []
    for call in ours:
        usages = [line for line in free if (told := reported(line)) and used(told) == booked(call)]
        if is_exact(call) and usages:
            free.remove(usages[0])
            yield call, usages[0]
        else:
            left.append(call)
    yield from zip(left, free, strict=False)


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
        elif booked(call) != used(usage) or (call["error"] and not call["prompt_tokens"]):
            wrong.append((call["name"], call["model"], dict(call), usage))
        else:
            exact += 1
    proof.figures["calls with reported usage, equal to the token"] = f"{exact:,}"
    proof.figures["calls with estimated usage, flagged"] = f"{estimated:,}"
    proof.none_of("tokens are equal wherever the upstream reported usage", wrong)
    proof.none_of("tokens that nobody reported are flagged as estimated", unflagged)


def cost(call: Row) -> int:
    """Price a call from the configuration's own figures, in nano-dollars."""
    return tiers.cost(call["tier"], *booked(call))


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
        if not attempt["shadow"]:
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
    whole = sum(row["cost"] + row["shadow_cost"] for row in tables["request"])
    told = samples(metrics)
    counted = round(told["cost_usd_total"] * 10**9)
    proof.figures["cost in the ledger"] = f"${whole / 1e9:.9f}"
    proof.figures["cost in the metrics"] = f"${counted / 1e9:.9f}"
    proof.promise("the metrics' cost is the ledger's to the nano-dollar", held=whole == counted)
    proof.promise(
        "the metrics count the ledger's requests",
        held=told["requests_total"] == len(tables["request"]),
    )


def _judge_manners(proof: Proof, got: Sequence[Answer], said: str, code: int) -> None:
    stayed = [answer for answer in got if answer.left_at is None]
    proof.promise("the gateway writes no traceback", held="Traceback" not in said)
    proof.none_of("no client gets a 500", [a.body[:300] for a in stayed if a.status == 500])
    proof.none_of("every client gets an answer", [a.status for a in stayed if not a.status])
    proof.promise("it stops with exit code 0", held=code == 0)
