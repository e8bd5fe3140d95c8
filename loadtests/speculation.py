"""What speculation is worth to streams that escalate, and what it costs, by the ledger's figures.

The small model takes 200 ms to its first token and 20 ms for each, its drafts are held for 48
tokens; the large one takes 600 ms to its first. The same questions go to three routes: one waits
for the verdict before it calls the large tier, one starts that beside every draft, one also leaves
a draft as soon as it is lost. Some drafts decline, and are over before their hold is; the other
poor ones are unsure of every token and longer than the hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gateway.store import read
from gateway.upstreams.http1 import Pool
from loadtests.harness import Answer, Gateway, Proof, ask, gateway, percentile, spread, upstream

WAITS, GUESSES, BOTH = "waiting", "speculating", "speculating and leaving early"
NAMES = {WAITS: "waits", GUESSES: "guesses", BOTH: "both"}
FALL = 0.4
"""What the p95 falls by at least."""
_WORDS = 70
_WIDTH = 8
_NEVER = {"refusal": False, "repetition": False, "format": False}
_EARLY = {"refusal": True, "logprob": 0.5}


async def prove(folder: Path, requests: int = 80, *, strict: bool = True) -> Proof:
    """Run it. Without `strict` nothing is promised of the times."""
    key = folder / "answers.json"
    questions = [f"What is number {n}?" for n in range(requests)]
    key.write_text(json.dumps({q: _answer(n) for n, q in enumerate(questions)}), "utf-8")
    steady = ("--sigma", "0", "--answers", str(key))
    quick = ("--accuracy", "small=0.6", "--first-token", "0.2", "--per-token", "0.02")
    async with AsyncExitStack() as stack:
        urls = {}
        for name, pace in (
            ("small", quick),
            ("large", ("--first-token", "0.6", "--per-token", "0.02")),
        ):
            model = ("--model", name)
            provider = await stack.enter_async_context(
                upstream(folder, name, *model, *steady, *pace)
            )
            urls[name] = provider.url
        served = await stack.enter_async_context(gateway(folder, _document(urls)))
        answers = {what: await _ask_all(served, name, questions) for what, name in NAMES.items()}
        await served.stop()
    rows = {what: read.requests(served.ledger, route=name) for what, name in NAMES.items()}
    return judge(answers, rows, strict=strict)


def judge(
    answers: Mapping[str, Sequence[Answer]],
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    strict: bool,
) -> Proof:
    """Compare what the ledger has of each route."""
    proof = Proof("speculation")
    proof.promise(
        "every request is answered in full",
        held=all(a.whole and a.status == 200 for each in answers.values() for a in each),
    )
    firsts = {
        what: [r["first_token"] for r in each if r["escalated"]] for what, each in rows.items()
    }
    late = {what: percentile(each, 0.95) for what, each in firsts.items()}
    cost = {what: sum(row["cost"] for row in each) for what, each in rows.items()}
    for what, each in rows.items():
        times, lost = firsts[what], sum(row["discarded_cost"] for row in each)
        proof.figures[f"{what}: escalated streams"] = f"{len(times)} of {len(each)}"
        proof.figures[f"{what}: first token of those"] = (
            f"p50 {1000 * percentile(times, 0.5):.0f}, p95 {1000 * late[what]:.0f} ms"
        )
        proof.figures[f"{what}: cost a request; discarded of it"] = (
            f"${cost[what] / len(each) / 1e9:.6f}; {lost / cost[what]:.1%}"
        )
    for what in (GUESSES, BOTH):
        fall, extra = 1 - late[what] / late[WAITS], cost[what] / cost[WAITS] - 1
        proof.figures[f"{what}: p95 falls by; at an extra cost of"] = f"{fall:.1%}; {extra:+.1%}"
    if strict:
        sentence = f"{BOTH}, the p95 of the first token of escalated streams falls by {FALL:.0%}"
        proof.promise(sentence, held=late[BOTH] <= (1 - FALL) * late[WAITS])
        proof.promise("speculating alone, it falls too", held=late[GUESSES] < late[WAITS])
    proof.promise("there is something to compare", held=all(firsts.values()))
    proof.promise("what was cancelled is in the cost", held=cost[GUESSES] > cost[WAITS])
    return proof


def _answer(number: int) -> dict[str, Any]:
    right = " ".join(f"{word}th" for word in range(number, number + _WORDS))
    return {"answer": right, "wrong": [" ".join([f"{number}"] + ["or not"] * _WORDS)]}


def _document(urls: Mapping[str, str]) -> dict[str, Any]:
    bar = {"accept": 0.4, "checks": ["shape", "refusal", "logprob"]}
    small = {"upstream": "small", "model": "small", "hold": {"tokens": 48}}
    small["price"] = {"input": 0.1, "output": 0.4}
    large = {"upstream": "large", "model": "large", "price": {"input": 1, "output": 4}}
    common = {"threshold": 1, "scorer": "rules"}
    guess = {"speculate": {"band": [0, 1]}}
    return {
        "upstreams": {k: {"kind": "openai", "base_url": f"{u}/v1"} for k, u in urls.items()},
        "tiers": {
            "small": {**small, "bar": {**bar, "early": _NEVER}},
            "eager": {**small, "bar": {**bar, "early": _EARLY}},
            "large": large,
        },
        "routes": {
            "waits": {"tiers": ["small", "large"], **common},
            "guesses": {"tiers": ["small", "large"], **common, **guess},
            "both": {"tiers": ["eager", "large"], **common, **guess},
        },
    }


async def _ask_all(served: Gateway, route: str, questions: Sequence[str]) -> list[Answer]:
    pool = Pool(served.url)

    async def one(item: tuple[int, str]) -> Answer:
        number, question = item
        body = {
            "model": route,
            "stream": True,
            "messages": [{"role": "user", "content": question}],
        }
        declines = {"simulate": {"small": "refusal"}} if number % 4 == 0 else {}
        return await ask(pool, {**body, **declines})

    try:
        return list(await spread(list(enumerate(questions)), _WIDTH, one))
    finally:
        await pool.aclose()
