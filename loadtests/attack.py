"""How far a white-box attacker moves a scorer: `python -m loadtests.attack --data FILE`.

The attacker has the artefact. It seeks one text of 20 words (or `--words`) that, put before (or
after) any prompt, sends as many as it can above the threshold: greedily, word by word, from the
words that weigh most, the words whose cluster weighs most, and marks; then a second pass that
exchanges each word in turn (`--passes 2`). It searches on some easy prompts and is measured on
others. Easy is what starts at the first tier; the lower half by difficulty is told beside it. What
is sent up of untouched easy prompts is nothing, so the share is the move.

Beside what the search finds stands what no words could exceed: the share of prompts whose every
reading without the added words lies above the threshold (of those with such a reading; a text of no
more than 20 words in all has none, and counts as sent up).
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from gateway.core.ranks import rank
from gateway.core.signals import Signals
from gateway.scorers import load
from gateway.scorers.features import WINDOW, read_whole
from gateway.scorers.linear import LinearScorer
from gateway.scorers.tidy import tidy
from loadtests.scoring import texts_of
from router_models.difficulty.data import read_files
from router_models.difficulty.evaluate import table_of
from router_models.difficulty.export import write_artefact
from router_models.difficulty.model import Settings, fit
from router_models.difficulty.model import folds as by_question

TOKENS = 20
CHEAPER = replace(Settings(), folds=3)
Found = dict[str, tuple[float, float]]
"""By place, the share moved by the words found, and the share that no words could exceed."""
MARKS = (
    "?",
    "???",
    "((((",
    "[[[[",
    "```",
    "{};",
    "\\frac",
    "$$",
    "=",
    "+-*/",
    "%",
    "1234567",
)
PLACES: dict[str, Callable[[str, str], str]] = {
    "prefix": lambda words, prompt: f"{words} {prompt}",
    "suffix": lambda words, prompt: f"{prompt} {words}",
}


def difficulties(scorer: LinearScorer, texts: Sequence[str]) -> np.ndarray:
    """Return the (N,) difficulties of texts."""
    asked = (Signals(text=text, prompt_chars=len(text), turns=1) for text in texts)
    return np.array([scorer.score(each).value for each in asked])


def candidates(scorer: LinearScorer, count: int, draw: random.Random) -> list[str]:
    """Return words likely to move the gain: by their own weight, by their cluster, and by lot."""
    lexicon, clusters = scorer.lexicon, scorer.clusters
    names = [name for name in lexicon.rows if name.isalpha()]
    rows = np.array([lexicon.rows[name] for name in names])
    slopes = np.array([slope for slope, _ in scorer.calibration])
    weights = lexicon.words[rows, :-2] * slopes
    gains = weights[:, 1:].max(1) - weights[:, 0]
    pulls = clusters.heads * slopes
    pull = pulls[:, 1:].max(1) - pulls[:, 0]
    vectors = lexicon.traits[rows, -len(clusters.mean) :].astype(float)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    near = vectors @ clusters.centres[np.argsort(-pull)[:5], : len(clusters.mean)].T
    best = [*np.argsort(-gains)[:count], *np.argsort(-near.max(1))[:count]]
    drawn = draw.sample(range(len(names)), count)
    return [*dict.fromkeys(names[i].decode() for i in (*best, *drawn)), *MARKS]


def search(
    scorer: LinearScorer,
    prompts: Sequence[str],
    place: Callable[[str, str], str],
    threshold: float,
    draw: random.Random,
    passes: int,
    tries: int,
    size: int = TOKENS,
) -> tuple[str, int]:
    """Return the words found and how many scorings that took."""
    pool = candidates(scorer, 60, draw)
    found: list[str] = []
    spent = 0

    def worth(words: Sequence[str]) -> float:
        nonlocal spent
        spent += len(prompts)
        values = difficulties(scorer, [place(" ".join(words), prompt) for prompt in prompts])
        # Those near the threshold count too, so that there is a slope to climb.
        return float((1 / (1 + np.exp(-(values - threshold) * 20))).mean())

    for turn in range(size * passes):
        at = turn % size
        asked = pool if not turn else draw.sample(pool, tries)
        held = found[at] if at < len(found) else ""
        options = [[*found[:at], word, *found[at + 1 :]] for word in {held, *asked} - {""}]
        found = max(options, key=worth)
    return " ".join(found), spent


def reach(scorer: LinearScorer, prompt: str, place: str, size: int) -> float:
    """Return the difficulty that no `size` words put before (or after) a prompt can exceed.

    It is that of the readings which hold none of these words, 1 where there is none.
    """
    whole = tidy(prompt).encode("utf-8", "replace")
    words = len(whole.split())
    if words + size <= WINDOW:
        return 1.0
    near, far = WINDOW - size, WINDOW if words + size > 2 * WINDOW else 0
    ends = {(near, 0), (near, far)}
    least = 1.0
    for first, last in ends if place == "prefix" else {end[::-1] for end in ends}:
        text = without(whole, first, last).decode("utf-8", "replace")
        asked = Signals(text=text, prompt_chars=len(text), turns=1)
        small, *others = scorer.chances(read_whole(asked))
        least = min(least, rank(max(others) - small, scorer.reference))
    return least


def without(text: bytes, first: int, last: int) -> bytes:
    """Return a text without its first and its last words."""
    if first:
        text = text.split(None, first)[first]
    return text.rsplit(None, last)[0] if last else text


def learnt(data: Path, folds: int) -> Iterator[tuple[LinearScorer, list[str]]]:
    """Yield scorers learnt from all but one of five parts of a file, with that part's prompts."""
    rows = read_files([data]).rows
    table = table_of(rows)
    for train, test in islice(by_question(table, Settings()), folds):
        part = table.take(train)
        with tempfile.TemporaryDirectory() as folder:
            write_artefact(Path(folder), fit(part, CHEAPER), "attacked@1", {}, part)
            scorer = load(Path(folder))
        assert isinstance(scorer, LinearScorer)
        yield scorer, [rows[i].signals.text for i in test]


def attack(scorer: LinearScorer, texts: Sequence[str], options: argparse.Namespace) -> Found:
    """Attack one scorer at both ends of prompts, print how far it moves, and return it."""
    draw = random.Random(options.seed)
    texts = list(dict.fromkeys(texts))
    texts = draw.sample(texts, min(len(texts), 1500))
    values = difficulties(scorer, texts)
    threshold = options.threshold or float(np.quantile(values, 0.8))
    easy = [i for i in range(len(texts)) if values[i] < threshold]
    shown, judged = easy[: options.prompts], easy[options.prompts :][:500]
    lower = np.array([values[i] < np.quantile(values, 0.5) for i in judged])
    told = f"{len(easy)} easy prompts of {len(texts)}, threshold {threshold:.3f}"
    print(f"{scorer.label}: {told}, seed {options.seed}")
    found: Found = {}
    for name, place in PLACES.items():
        hunted = [texts[i] for i in shown]
        words, spent = search(
            scorer, hunted, place, threshold, draw, options.passes, options.tries, options.words
        )
        moved = difficulties(scorer, [place(words, texts[i]) for i in judged]) >= threshold
        most = [reach(scorer, texts[i], name, options.words) >= threshold for i in judged]
        found[name] = float(moved.mean()), float(np.mean(most))
        told = f"{moved.mean():.1%} of {len(judged)} sent up, {moved[lower].mean():.1%} of the"
        told = f"{told} lower half; no words could exceed {np.mean(most):.1%}"
        print(f"  {name}: {told}; {spent:,} scorings; {words!r}", flush=True)
    return found


def main() -> int:
    """Attack, and print how far it moves; the exit status is 1 beyond 10 points."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.attack", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    told = "an artefact (default: learn from four fifths of FILE, attack on the fifth)"
    parser.add_argument("--scorer", type=Path, metavar="DIR", help=told)
    parser.add_argument("--folds", type=int, default=5, help="how many of the fifths, 1 to 5")
    parser.add_argument("--threshold", type=float, help="default: what sends 20 %% of the data up")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prompts", type=int, default=30, help="that it searches on")
    parser.add_argument("--tries", type=int, default=24, help="words tried at each place")
    parser.add_argument("--passes", type=int, default=1)
    sizes = range(1, TOKENS + 1)
    told = "of the prefix or suffix, at most %(default)s"
    parser.add_argument("--words", type=int, default=TOKENS, choices=sizes, metavar="N", help=told)
    options = parser.parse_args()
    if options.scorer is None:
        told = "mean of the parts"
        runs = [attack(*part, options) for part in learnt(options.data, options.folds)]
    else:
        scorer, told = load(options.scorer), "in all"
        if not isinstance(scorer, LinearScorer):
            raise SystemExit("Only a linear scorer's weights can be read.")
        runs = [attack(scorer, list(texts_of(options.data)), options)]
    means = {name: np.mean([run[name] for run in runs], 0) for name in PLACES}
    for name, (moved, most) in means.items():
        print(f"{told}, by a {name}: {moved:.1%} moved; no words could exceed {most:.1%}")
    return 0 if max(moved for moved, _ in means.values()) <= 0.1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
