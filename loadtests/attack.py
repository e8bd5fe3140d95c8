"""How far a white-box attacker moves a scorer: `python -m loadtests.attack --data FILE`.

The attacker has the artefact. It seeks one text of 20 words (or `--words`) that, put before (or
after) any prompt, sends as many as it can above the threshold: greedily, word by word, from the
words that weigh most, the words whose cluster weighs most, and marks; then a second pass that
exchanges each word in turn. It searches on some easy prompts and is measured on others. Easy is
what starts at the first tier; the lower half by difficulty is told beside it. What is sent up of
untouched easy prompts is nothing, so the share is the move.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gateway.core.signals import Signals
from gateway.scorers import load
from gateway.scorers.linear import LinearScorer
from loadtests.scoring import DEFAULT, texts_of

TOKENS = 20
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
    "\n",
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
    weights = lexicon.words[:, :-1] * slopes
    gains = (weights[:, 1:].max(1) - weights[:, 0])[rows]
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


def main() -> int:
    """Attack, and print how far it moves; the exit status is 1 beyond 10 points."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.attack", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--scorer", type=Path, default=DEFAULT, metavar="DIR")
    parser.add_argument("--threshold", type=float, help="default: what sends 20 %% of the data up")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prompts", type=int, default=40, help="that it searches on")
    parser.add_argument("--tries", type=int, default=24, help="words tried at each place")
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--words", type=int, default=TOKENS, help="of the prefix or suffix")
    options = parser.parse_args()
    scorer, draw = load(options.scorer), random.Random(options.seed)
    if not isinstance(scorer, LinearScorer):
        raise SystemExit("Only a linear scorer's weights can be read.")
    texts = list(dict.fromkeys(texts_of(options.data)))
    texts = draw.sample(texts, min(len(texts), 1500))
    values = difficulties(scorer, texts)
    threshold = options.threshold or float(np.quantile(values, 0.8))
    easy = [i for i in range(len(texts)) if values[i] < threshold]
    shown, judged = easy[: options.prompts], easy[options.prompts :][:500]
    lower = np.array([values[i] < np.quantile(values, 0.5) for i in judged])
    told = f"{len(easy)} easy prompts of {len(texts)}, threshold {threshold:.3f}"
    print(f"{scorer.label} on {options.data.name}: {told}, seed {options.seed}")
    worst = 0.0
    for name, place in PLACES.items():
        words, spent = search(
            scorer,
            [texts[i] for i in shown],
            place,
            threshold,
            draw,
            options.passes,
            options.tries,
            options.words,
        )
        moved = difficulties(scorer, [place(words, texts[i]) for i in judged]) >= threshold
        worst = max(worst, float(moved.mean()))
        told = f"{moved.mean():.1%} of {len(judged)} sent up, {moved[lower].mean():.1%} of the"
        print(f"  {name}: {told} lower half; {spent:,} scorings; {words!r}")
    return 0 if worst <= 0.1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
