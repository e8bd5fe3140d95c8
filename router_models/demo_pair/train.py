"""Trains one of the demo's two models on one CPU thread and writes its GGUF file.

    python -m router_models.demo_pair.train small
    python -m router_models.demo_pair.train large

Needs torch and gguf, which nothing else here does. The same seed and versions give the same model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from gateway.demo.questions import EASY_KINDS, HARD_KINDS, KINDS, draw
from router_models.demo_pair import chats
from router_models.demo_pair.gguf_export import export
from router_models.demo_pair.network import Network, Shape
from router_models.demo_pair.tool_chats import tool_chat
from router_models.demo_pair.vocab import END, END_OF_TEXT, START, Vocabulary, build

ARTEFACTS: Final = Path(__file__).parents[1] / "artefacts" / "demo"
UNLEARNT: Final = -100


@dataclass(frozen=True, slots=True)
class Schooling:
    """How one model is made: its size, how long it learns, and of what how much."""

    shape: Shape
    steps: int
    tokens_per_step: int
    rate: float
    always_steps: bool
    weights: Mapping[str, float]


def _weights(easy: float, hard: float, **others: float) -> dict[str, float]:
    return dict.fromkeys(EASY_KINDS, easy) | dict.fromkeys(HARD_KINDS, hard) | others


SCHOOLINGS: Final = {
    "small": Schooling(
        Shape(width=64, layers=2, heads=4, hidden=160),
        steps=1900,
        tokens_per_step=4000,
        rate=4e-3,
        always_steps=False,
        # Some hard kinds it learns, the others it hardly meets, so there is something to pass on.
        weights=_weights(
            easy=1.0,
            hard=0.15,
            is_a=2.5,
            pick=2.0,
            small_sum=2.0,
            plural=1.5,
            two_sum=0.9,
            difference=0.8,
            weekday=0.5,
            nth_letter=0.5,
            count_letter=0.5,
            sort_digits=0.3,
        ),
    ),
    "large": Schooling(
        Shape(width=128, layers=4, heads=4, hidden=352),
        steps=2400,
        tokens_per_step=4000,
        rate=3e-3,
        always_steps=True,
        weights=_weights(0.5, 1.0, is_a=1.0, extreme=1.5, sequence=1.3, product=1.3, backwards=1.3),
    ),
}


def vocabulary() -> Vocabulary:
    """The one vocabulary of both models, from questions of the train split and the chats' texts."""
    random = Random("vocabulary")
    questions = [draw(random, kind, "train") for kind in KINDS for _ in range(1500)]
    texts = [text for q in questions for text in (q.prompt, chats.reply(q, "steps"))]
    told = [*chats.STEPS_TEXTS, *chats.PLAIN_TEXTS, *(t for pair in chats.SMALL_TALK for t in pair)]
    told += [text for _ in range(50) for _, text, _ in tool_chat(random)]
    return build([*texts, *(told * 5)], least=5)


def written(turns: list[chats.Turn], words: Vocabulary) -> tuple[list[int], list[int]]:
    """A chat as the template writes it: its token ids, and for each place the id to be learnt."""
    start, end, line = words.ids[START], words.ids[END], words.encode("\n")
    ids: list[int] = []
    wanted: list[int] = []
    for turn in turns:
        head = [start, *words.encode(turn.role), *line]
        body = [*words.encode(turn.text), end]
        ids += [*head, *body, *line]
        learnt = body if turn.learn else [UNLEARNT] * len(body)
        wanted += [*([UNLEARNT] * len(head)), *learnt, *([UNLEARNT] * len(line))]
    return ids[:-1], wanted[1:]


def batches(
    random: Random, school: Schooling, words: Vocabulary
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of about `tokens_per_step` tokens, chats of like length together."""
    filler = words.ids[END_OF_TEXT]
    while True:
        pool = [
            written(chats.chat(random, school.weights, always_steps=school.always_steps), words)
            for _ in range(1500)
        ]
        pool.sort(key=lambda row: len(row[0]))
        groups: list[list[tuple[list[int], list[int]]]] = [[]]
        for row in pool:
            if (len(groups[-1]) + 1) * len(row[0]) > school.tokens_per_step:
                groups.append([])
            groups[-1].append(row)
        random.shuffle(groups)
        for group in groups:
            length = max(len(ids) for ids, _ in group)
            ids = [row + [filler] * (length - len(row)) for row, _ in group]
            # The last place has nothing after it to learn.
            goal = [row + [UNLEARNT] * (length - len(row)) for _, row in group]
            yield torch.tensor(ids), torch.tensor(goal)


def optimisers(network: Network, rate: float) -> list[Any]:
    """Muon for the layers' matrices, AdamW for embeddings, output and norms."""
    inner = [p for p in network.blk.parameters() if p.ndim == 2]
    known = {id(p) for p in inner}
    outer = [p for p in network.parameters() if id(p) not in known]
    return [
        torch.optim.Muon(inner, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=rate, weight_decay=0.01, betas=(0.9, 0.98)),
    ]


def pace(step: int, steps: int) -> float:
    """The rate's share at a step: a short warm-up, a plateau, and a straight way down."""
    return min(1.0, (step + 1) / 40, max(0.01, (steps - step) / (0.5 * steps)))


def train(name: str, seed: int, out: Path) -> None:
    """Trains the named model and writes `<out>/<name>.gguf`."""
    school = SCHOOLINGS[name]
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    words = vocabulary()
    network = Network(school.shape, len(words.tokens))
    size = sum(p.numel() for p in network.parameters())
    print(f"{name}: {size:,} parameters, {len(words.tokens)} tokens", flush=True)
    teachers = optimisers(network, school.rate)
    lessons = batches(Random(f"{seed} {name}"), school, words)
    began, total = time.perf_counter(), 0.0
    for step, (ids, goal) in zip(range(school.steps), lessons, strict=False):
        for teacher in teachers:
            for group in teacher.param_groups:
                group["lr"] = school.rate * pace(step, school.steps)
            teacher.zero_grad()
        learnt = goal != UNLEARNT
        loss = functional.cross_entropy(network(ids, learnt), goal[learnt])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for teacher in teachers:
            teacher.step()
        total += loss.item()
        if (step + 1) % 100 == 0:
            spent = time.perf_counter() - began
            print(f"{spent:6.0f} s  step {step + 1}  loss {total / 100:.4f}", flush=True)
            total = 0.0
    out.mkdir(parents=True, exist_ok=True)
    export(out / f"{name}.gguf", f"waterfall-demo-{name}", words, network)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(SCHOOLINGS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ARTEFACTS)
    given = parser.parse_args()
    train(given.name, given.seed, given.out)


if __name__ == "__main__":
    main()
