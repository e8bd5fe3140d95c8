"""Measures the pair through llama.cpp's own server: accuracy, confidence, and what a cascade saves.

    python -m router_models.demo_pair.evaluate --questions 1000

The threshold is chosen on the tune split; every figure printed is of the demo split.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from gateway.demo.llama import serve_model
from gateway.demo.questions import HARD_KINDS, KINDS, Question, Split, grade, split

ROOT: Final = Path(__file__).parents[1]
ARTEFACTS: Final = ROOT / "artefacts" / "demo"
RECIPES: Final = ROOT / "recipes" / "demo"
# USD per million tokens, in and out; 1:13.3 between the two.
PRICES: Final = {"small": (0.15, 0.60), "large": (2.00, 8.00)}
# By how much the cascade must beat all-large on the tune split when its threshold is chosen, so
# that chance does not put it more than a point below on other questions.
MARGIN: Final = 0.005


@dataclass(frozen=True, slots=True)
class Reply:
    """One graded reply: the lowest token log-probability, the 10 % quantile, and the money."""

    kind: str
    right: bool
    lowest: float
    decile: float
    prompt_tokens: int
    reply_tokens: int
    usd: float
    text: str


def messages(recipe: dict[str, Any], prompt: str) -> list[dict[str, str]]:
    """The recipe's text and examples, then the question."""
    before = [{"role": "system", "content": recipe["before"]}] if "before" in recipe else []
    shots = [
        {"role": role, "content": shot[role]}
        for shot in recipe.get("examples", ())
        for role in ("user", "assistant")
    ]
    return [*before, *shots, {"role": "user", "content": prompt}]


async def ask(
    client: httpx.AsyncClient, model: str, recipe: dict[str, Any], question: Question
) -> Reply:
    """One question put to a server, graded and priced."""
    body = {
        "model": model,
        "messages": messages(recipe, question.prompt),
        "temperature": 0,
        "max_tokens": 64,
        "logprobs": True,
        "top_logprobs": 1,
        **recipe.get("params", {}),
    }
    answer = (await client.post("/chat/completions", json=body)).raise_for_status().json()
    choice, usage = answer["choices"][0], answer["usage"]
    scores = sorted(token["logprob"] for token in choice["logprobs"]["content"])
    price_in, price_out = PRICES[model]
    spent = usage["prompt_tokens"] * price_in + usage["completion_tokens"] * price_out
    return Reply(
        kind=question.kind,
        right=choice["finish_reason"] == "stop" and grade(question, choice["message"]["content"]),
        lowest=scores[0],
        decile=scores[len(scores) // 10],
        prompt_tokens=usage["prompt_tokens"],
        reply_tokens=usage["completion_tokens"],
        usd=spent / 1e6,
        text=choice["message"]["content"],
    )


async def ask_all(
    folder: Path, model: str, recipe: dict[str, Any], questions: Sequence[Question]
) -> list[Reply]:
    """Every question, four at a time, in their order."""
    gate = asyncio.Semaphore(4)
    key = {"authorization": "Bearer sk-evaluate"}
    async with (
        serve_model(folder / f"{model}.gguf", model, "sk-evaluate") as base_url,
        httpx.AsyncClient(base_url=base_url, headers=key, timeout=60, trust_env=False) as client,
    ):

        async def one(question: Question) -> Reply:
            async with gate:
                return await ask(client, model, recipe, question)

        return await asyncio.gather(*map(one, questions))


def auroc(right: Sequence[float], wrong: Sequence[float]) -> float:
    """The chance that a right reply scores above a wrong one, ties as halves."""
    pairs = len(right) * len(wrong)
    above = sum((r > w) + 0.5 * (r == w) for r in right for w in wrong)
    return above / pairs if pairs else math.nan


def cascade(small: Sequence[Reply], large: Sequence[Reply], accept: float) -> dict[str, float]:
    """Accuracy, share escalated and cost against all-large, deferring below `accept`."""
    up = [math.exp(s.lowest) < accept for s in small]
    right = [(g if u else s).right for s, g, u in zip(small, large, up, strict=True)]
    spent = sum(s.usd for s in small) + sum(g.usd for g, u in zip(large, up, strict=True) if u)
    return {
        "accept": accept,
        "accuracy": _mean(right),
        "escalated": _mean(up),
        "cost_ratio": spent / sum(g.usd for g in large),
    }


def choose(small: Sequence[Reply], large: Sequence[Reply]) -> float:
    """The lowest threshold that puts the cascade MARGIN above all-large, else the best one."""
    goal = _mean(g.right for g in large) + MARGIN
    tried = [(cascade(small, large, i / 200)["accuracy"], i / 200) for i in range(1, 200)]
    return next((at for found, at in tried if found >= goal), max(tried)[1])


def summary(replies: Sequence[Reply]) -> dict[str, Any]:
    """Accuracy in all, of easy and of hard kinds and of each; confidence; sizes and money."""
    kinds: dict[str, list[bool]] = defaultdict(list)
    halves: dict[str, list[bool]] = defaultdict(list)
    for reply in replies:
        kinds[reply.kind].append(reply.right)
        halves["hard" if reply.kind in HARD_KINDS else "easy"].append(reply.right)
    right, wrong = [r for r in replies if r.right], [r for r in replies if not r.right]
    return {
        "accuracy": _mean(r.right for r in replies),
        **{half: _mean(found) for half, found in sorted(halves.items())},
        "auroc_lowest": auroc([r.lowest for r in right], [r.lowest for r in wrong]),
        "auroc_decile": auroc([r.decile for r in right], [r.decile for r in wrong]),
        "prompt_tokens": _mean(r.prompt_tokens for r in replies),
        "reply_tokens": _mean(r.reply_tokens for r in replies),
        "usd": sum(r.usd for r in replies),
        "kinds": {kind: _mean(kinds[kind]) for kind in KINDS if kind in kinds},
    }


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else math.nan


async def measure(folder: Path, n: int, seed: int) -> dict[str, Any]:
    """Everything the model card tells, from `n` demo questions and as many tune questions."""
    recipes = {
        path.stem: yaml.safe_load(path.read_text()) for path in sorted(RECIPES.glob("*.yaml"))
    }
    names: tuple[Split, ...] = ("tune", "demo")
    asked = {name: split(seed, name, n) for name in names}
    large = {name: await ask_all(folder, "large", {}, asked[name]) for name in names}
    report: dict[str, Any] = {"large": summary(large["demo"])}
    for stem, recipe in recipes.items():
        small = {name: await ask_all(folder, "small", recipe, asked[name]) for name in names}
        accept = choose(small["tune"], large["tune"])
        report[f"small {stem}"] = summary(small["demo"])
        report[f"cascade {stem}"] = cascade(small["demo"], large["demo"], accept)
        report[f"replies {stem}"] = [asdict(r) for r in small["demo"]]
    report["replies large"] = [asdict(r) for r in large["demo"]]
    return report


def main() -> None:
    """The command line: prints the figures, and with `--json` writes every reply."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ARTEFACTS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    report = asyncio.run(measure(given.folder, given.questions, given.seed))
    if given.json:
        given.json.write_text(json.dumps(report))
    for name, figures in report.items():
        if not name.startswith("replies"):
            print(name, json.dumps(figures, indent=None, default=str))


if __name__ == "__main__":
    main()
