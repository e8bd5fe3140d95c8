"""Questions and outcomes that are made up: none of them was ever asked of a model.

How hard a question is shows in its words, by and by: no two have to tie. What the small model gets
right the large one does too, so that what stays below loses all that it can lose: a promise about
quality has no luck to live on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from gateway.core.signals import Signals
from router_models.difficulty.evaluate import table_of
from router_models.difficulty.export import write_artefact
from router_models.difficulty.model import Settings, fit
from router_models.difficulty.reference import of_traffic
from router_models.difficulty.rows import Row

_EASY = "bread garden kettle morning window puddle sparrow blanket ribbon orchard".split()
_HARD = (
    "integral eigenvalue manifold entropy lemma tensor quotient residue cohomology ansatz".split()
)
_PLAIN = "river stone paper letter market bridge winter signal button corner meadow pencil".split()
_TEMPLATES = ("Tell me about {}.", "What do {} have in common?", "Explain: {}?", "{}: which is it?")
_OTHERS = (
    "```python\ndef {}(x):\n    return x\n```\nWhy does this fail with {}?",
    "Translate into French, line by line:\n- {}\n- {}",
    "Ticket 4{}1: the customer writes '{}'. Answer politely in three sentences.",
)


def rows(count: int, seed: int) -> tuple[Row, ...]:
    """Make questions with the outcome of a small and a large model, all of one distribution."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        hard = draw.random()
        text, luck = _question(draw, hard), draw.random()
        scores = float(luck < 0.97 - 0.8 * hard), float(luck < 0.97)
        made.append(Row(signals(text), scores, "made up"))
    return tuple(made)


def questions(count: int, seed: int) -> list[str]:
    """Make the same questions, without outcomes."""
    return [row.signals.text for row in rows(count, seed)]


def others(count: int, seed: int) -> list[str]:
    """Make questions of other templates and lengths, most of them easy."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        hard = draw.random() ** 3
        parts = [" ".join(_words(draw, hard, draw.randint(2, 25))) for _ in range(2)]
        made.append(draw.choice(_OTHERS).format(*parts))
    return made


def signals(text: str) -> Signals:
    """Measure a question as the gateway would."""
    return Signals(text=text, prompt_chars=len(text), turns=1)


def artefact(folder: Path, learnt: Sequence[Row], label: str = "made-up@1") -> Path:
    """Train a scorer on rows, as `waterfall train` does, and write it; return its folder."""
    table = table_of(learnt)
    model = of_traffic(fit(table, Settings()), table, Settings())
    texts = [row.signals.text for row in learnt]
    write_artefact(folder, model, label, {"rows": len(learnt)}, table, texts)
    return folder


def _question(draw: random.Random, hard: float) -> str:
    return draw.choice(_TEMPLATES).format(" ".join(_words(draw, hard, draw.randint(6, 14))))


def _words(draw: random.Random, hard: float, count: int) -> list[str]:
    """Draw words: half of them tell nothing, and of the rest the share `hard` is hard."""
    kinds = (_PLAIN, _HARD, _EASY)
    weights = (1.0, hard, 1.0 - hard)
    return [draw.choice(draw.choices(kinds, weights)[0]) for _ in range(count)]
