"""What scoring costs: `python -m loadtests.scoring [--scorer DIR] [--data FILE]`.

Times a scorer as the gateway calls it, one request at a time on one core: prompts of about 500
characters (the data's own, or made up of its vocabulary), then a megabyte of each text that has
hurt a scorer before. Times are wall clock; the least of five rounds stands beside each quantile,
since machines are shared.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import random
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import router_models
from gateway.core.ports import Scorer
from gateway.core.signals import Signals
from gateway.scorers import load
from gateway.scorers.linear import LinearScorer
from gateway.scorers.static import static
from loadtests.harness import Proof, percentile

DEFAULT = Path(router_models.__file__).parent / "artefacts" / "default"
MEDIAN, MOST = 200e-6, 600e-6
"""Seconds for a prompt of 500 characters: half of them within, 99 % within."""
MEGABYTE = 2e-3
"""Seconds for a megabyte of anything."""
MEMORY = 40
"""MiB of an artefact in use, the static vectors included."""
ROUNDS = 5
MEGABYTES = {
    "digits": "1234567890",
    "one letter": "a",
    "nested brackets": "[({",
    "emoji": "😀",
    "base64": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo+/",
    "short words": "a 1 b 2 ",
    "strangers": "".join(chr(0x4E00 + i) + " " for i in range(3000)),
    "line ends": "\n",
    "other spaces": "\xa0\u2003",
    "what nobody sees": "\u200b\u2060",
    "the same between letters": "a\u200bb\u2060",
    "other spaces between letters": "a\xa0b\u2003",
    "control characters": "\x01\x7f",
}


def prove(scorer: Scorer, prompts: Sequence[str], rounds: int = ROUNDS) -> Proof:
    """Time it, and hold it to its budget."""
    proof = Proof("scoring")
    requests = [Signals(text=text, prompt_chars=len(text), turns=1) for text in prompts]
    timed = [sorted(_times(scorer, requests)) for _ in range(rounds)]
    median, most = (min(percentile(each, q) for each in timed) for q in (0.5, 0.99))
    worst = {q: max(percentile(each, q) for each in timed) for q in (0.5, 0.99)}
    proof.figures["prompts"] = f"{len(prompts):,} of 450 to 550 characters, {rounds} rounds"
    proof.figures["p50"] = f"{median * 1e6:.0f} µs (worst round {worst[0.5] * 1e6:.0f})"
    proof.figures["p99"] = f"{most * 1e6:.0f} µs (worst round {worst[0.99] * 1e6:.0f})"
    proof.promise("half within 200 µs", held=median <= MEDIAN)
    proof.promise("99 % within 600 µs", held=most <= MOST)
    for name, unit in MEGABYTES.items():
        text = unit * (1_000_000 // len(unit))
        whole = Signals(text=text, prompt_chars=len(text), turns=1)
        took = percentile(_times(scorer, [whole] * 50), 0.5)
        proof.figures[f"1 MB of {name}"] = f"{took * 1e6:.0f} µs (median of 50)"
        proof.promise(f"1 MB of {name} within 2 ms", held=took <= MEGABYTE)
    return proof


def memory(folder: Path) -> float:
    """Return the MiB that loading an artefact takes, the static vectors included."""
    static.cache_clear()
    tracemalloc.start()
    held = load(folder)
    taken = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    del held
    return taken


def prompts_of(path: Path | None, scorer: Scorer, seed: int = 0) -> list[str]:
    """Return prompts of 450 to 550 characters: a pair file's, or words drawn by lot."""
    if path is not None:
        return [text for text in texts_of(path) if 450 <= len(text) <= 550][:2000]
    draw = random.Random(seed)
    known = scorer.lexicon.rows if isinstance(scorer, LinearScorer) else static().places
    words = [word.decode("utf-8", "ignore") for word in known if word.isalpha()]
    return [_made(draw, words) for _ in range(1000)]


def _made(draw: random.Random, words: Sequence[str]) -> str:
    text = "Which of these follows?"
    while len(text) < 480:
        word = draw.choice(words) if draw.random() < 0.9 else str(draw.randrange(10_000))
        text += draw.choice((" ", " ", " ", ", ", ".\n", " (")) + word
    return text[:540]


def texts_of(path: Path) -> Iterator[str]:
    """Yield the prompts of a pair file (CSV, perhaps .gz)."""
    csv.field_size_limit(10_000_000)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as lines:
        yield from (row["prompt"] for row in csv.DictReader(lines))


def _times(scorer: Scorer, requests: Sequence[Signals]) -> list[float]:
    for request in requests[:50]:
        scorer.score(request)
    taken = []
    for request in requests:
        began = time.perf_counter()
        scorer.score(request)
        taken.append(time.perf_counter() - began)
    return taken


def main() -> int:
    """Print the figures; the exit status is 1 when the budget is broken."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.scoring", description=__doc__)
    parser.add_argument("--scorer", type=Path, default=DEFAULT, metavar="DIR")
    parser.add_argument("--data", type=Path, metavar="FILE", help="a pair file: its own prompts")
    options = parser.parse_args()
    used = memory(options.scorer)
    scorer = load(options.scorer)
    proof = prove(scorer, prompts_of(options.data, scorer))
    proof.figures["memory of the artefact in use"] = f"{used:.1f} MiB"
    proof.promise("at most 40 MiB", held=used <= MEMORY)
    load_average = os.getloadavg()[0]
    print(f"{scorer.label}, load average {load_average:.1f}")
    for name, figure in proof.figures.items():
        print(f"  {name:32} {figure}")
    for sentence, held in proof.promises:
        print(f"  {'kept  ' if held else 'BROKEN'} {sentence}")
    return 0 if proof.holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
