"""Two real models under every hold policy: `python -m loadtests.holds [--pair DIR] [--accept P]`.

Each question starts at the small model and its draft is judged by log-probabilities, plain and
streamed, whole and by its beginning. What is promised: nearly as much is right as with the large
model alone, and little more goes up than there are hard questions. `--pair` is a folder with
another pair's `*small*.gguf` and `*large*.gguf`, which know sums, capitals and words (`--questions
sums`) or the demo's own kinds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.demo import questions as demo
from gateway.demo.llama import ModelNotServed, serve_model
from gateway.demo.stage import ARTEFACTS, BETTER, RECIPES
from gateway.upstreams.http1 import Pool
from loadtests.harness import Answer, Proof, ProofError, ask, gateway, spread
from loadtests.telling import show

PAIR = ARTEFACTS / "demo"
ACCEPT = 0.8
HOLDS: dict[str, Any] = {"reply": "reply", "tokens": {"tokens": 16}, "sentence": "sentence"}
WIDTH = 8
LONGEST = 96
KEPT = 0.99
"""Of what the large model alone gets right."""
OVER = 0.15
"""How much more than the share of hard questions may go up."""
_CAPITALS = dict(
    pair.split(":")
    for pair in "France:Paris Italy:Rome Spain:Madrid Japan:Tokyo Egypt:Cairo Peru:Lima "
    "Kenya:Nairobi Norway:Oslo Greece:Athens Cuba:Havana Chile:Santiago Austria:Vienna".split()
)
_WORDS = "cat dog sun map tree fish bird lamp road milk star ship book door rain wind".split()


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, whether it is hard, and what tells a right answer."""

    prompt: str
    hard: bool
    right: Callable[[str], bool]


def of_the_demo(count: int, seed: int) -> list[Asked]:
    """Take questions of the demo's own, half of them hard."""
    return [
        Asked(each.prompt, each.hard, lambda said, each=each: demo.grade(each, said))
        for each in demo.split(seed, "demo", count)
    ]


def sums(count: int, seed: int) -> list[Asked]:
    """Make sums of one digit, capitals and words, and as many sums of two digits."""
    draw = random.Random(seed)
    return [_hard(draw) if place % 2 else _easy(draw) for place in range(count)]


QUESTIONS: dict[str, Callable[[int, int], list[Asked]]] = {"demo": of_the_demo, "sums": sums}


def _easy(draw: random.Random) -> Asked:
    kind = draw.randrange(3)
    if kind == 0:
        return _sum(draw, 0, 10, hard=False)
    if kind == 1:
        land = draw.choice(list(_CAPITALS))
        return _said(f"What is the capital of {land}?", _CAPITALS[land], hard=False)
    word = draw.choice(_WORDS)
    return _said(f"Say the word {word}.", word, hard=False)


def _hard(draw: random.Random) -> Asked:
    return _sum(draw, 10, 100, hard=True)


def _sum(draw: random.Random, low: int, high: int, *, hard: bool) -> Asked:
    first, second = draw.randrange(low, high), draw.randrange(low, high)
    return _said(f"What is {first}+{second}?", str(first + second), hard=hard)


def _said(prompt: str, answer: str, *, hard: bool) -> Asked:
    return Asked(prompt, hard, lambda said: said.strip() == answer)


def document(small: str, large: str, key: str, accept: float, recipe: bool) -> dict[str, Any]:
    """Write the gateway's configuration: a small tier, and a route, for each hold policy."""
    bar = {"accept": accept, "checks": ["shape", "refusal", "logprob"]}
    first: dict[str, Any] = {"upstream": "small", "model": "small", "bar": bar}
    first |= {"price": {"input": 0.15, "output": 0.6}}
    if recipe:
        first |= {"recipe": str(RECIPES / BETTER)}
    tiers: dict[str, Any] = {name: {**first, "hold": hold} for name, hold in HOLDS.items()}
    tiers["large"] = {"upstream": "large", "model": "large", "price": {"input": 2, "output": 8}}
    return {
        "upstreams": {
            name: {"kind": "openai", "base_url": url, "api_key": key}
            for name, url in (("small", small), ("large", large))
        },
        "tiers": tiers,
        "routes": {
            f"by-{name}": {
                "tiers": [name, "large"],
                "scorer": "rules",
                "threshold": 1,
                "session": {"latch": False},
            }
            for name in HOLDS
        },
    }


async def prove(
    folder: Path,
    pair: Path = PAIR,
    kind: str = "demo",
    count: int = 1000,
    accept: float = ACCEPT,
    seed: int = 20261126,
) -> Proof:
    """Ask every question of the large model alone, then under each policy, plain and streamed."""
    asked, key, proof = QUESTIONS[kind](count, seed), "sk-holds", Proof("holds")
    hard = sum(each.hard for each in asked) / count
    async with AsyncExitStack() as stack:
        try:
            small, large = [
                await stack.enter_async_context(serve_model(_file(pair, name), name, key))
                for name in ("small", "large")
            ]
        except ModelNotServed as error:
            raise ProofError(str(error)) from error
        told = document(small, large, key, accept, recipe=kind == "demo")
        served = await stack.enter_async_context(gateway(folder, told))
        pool = Pool(served.url, limit=WIDTH)
        stack.push_async_callback(pool.aclose)
        whole, _ = await _run(pool, asked, "large", stream=False)
        proof.figures["questions"] = f"{count:,}, {hard:.0%} of them hard; accept {accept}"
        proof.figures["large alone"] = f"{whole:.1%} right"
        for name in HOLDS:
            for stream in (False, True):
                right, up = await _run(pool, asked, f"by-{name}", stream=stream)
                way = f"hold {name}, {'streamed' if stream else 'plain'}"
                proof.figures[way] = f"{right:.1%} right, {up:.1%} sent up"
                proof.promise(f"{way}: 99 % of what large gets right", held=right >= KEPT * whole)
                proof.promise(f"{way}: at most 15 points over the hard", held=up <= hard + OVER)
    return proof


async def _run(
    pool: Pool, asked: Sequence[Asked], model: str, *, stream: bool
) -> tuple[float, float]:
    """Return the share that was right, and the share that was escalated."""

    async def one(each: Asked) -> Answer:
        body = {
            "model": model,
            "stream": stream,
            "messages": [{"role": "user", "content": each.prompt}],
            "max_completion_tokens": LONGEST,
            "temperature": 0,
        }
        return await ask(pool, body)

    answers = await spread(asked, WIDTH, one)
    if broken := [each.body[:300] for each in answers if each.status != 200 or not each.whole]:
        raise ProofError(f"{len(broken)} were not answered, the first with {broken[0]!r}")
    right = sum(each.right(said.text) for each, said in zip(asked, answers, strict=True))
    up = sum(each.headers[b"x-waterfall-escalated"] == b"true" for each in answers)
    return right / len(asked), up / len(asked)


def _file(pair: Path, name: str) -> Path:
    found = sorted(pair.glob(f"*{name}*.gguf"))
    if len(found) != 1:
        raise ProofError(f"{pair} holds {len(found)} files *{name}*.gguf, not one")
    return found[0]


def main() -> int:
    """Print the figures; the exit status is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.holds", description=__doc__)
    parser.add_argument("--pair", type=Path, default=PAIR, metavar="DIR")
    parser.add_argument("--questions", choices=QUESTIONS, default="demo")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--accept", type=float, default=ACCEPT)
    parser.add_argument("--seed", type=int, default=20261126)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        proof = asyncio.run(
            prove(Path(folder), given.pair, given.questions, given.count, given.accept, given.seed)
        )
    show(proof)
    return 0 if proof.holds else 1


if __name__ == "__main__":
    sys.exit(main())
