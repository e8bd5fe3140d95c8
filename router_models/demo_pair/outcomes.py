"""Records how the demo's pair fares on tune questions: what its difficulty scorer learns from.

They are one half of that split; `gateway.demo.tune` chooses its figures on the other.

    python -m router_models.demo_pair.outcomes --out rows.jsonl
    waterfall train --data rows.jsonl --label demo@1 --out SCORER
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.demo.questions import half, split
from router_models.demo_pair.evaluate import ARTEFACTS, RECIPES, ask_all

BETTER: Final = RECIPES / "steps.yaml"


async def record(n: int, seed: int) -> list[dict[str, Any]]:
    """Ask both models the first half of `n` tune questions; rows of prompt and both scores."""
    questions = [each for each in split(seed, "tune", n) if half(each) == 0]
    recipe = yaml.safe_load(BETTER.read_text(encoding="utf-8"))
    weak = await ask_all(ARTEFACTS, "small", recipe, questions)
    strong = await ask_all(ARTEFACTS, "large", {}, questions)
    return [
        {"prompt": q.prompt, "weak_score": float(w.right), "strong_score": float(s.right)}
        for q, w, s in zip(questions, weak, strong, strict=True)
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = asyncio.run(record(given.questions, given.seed))
    text = "".join(json.dumps(row) + "\n" for row in rows)
    given.out.write_text(text, encoding="utf-8")
    print(f"{len(rows)} rows in {given.out}")


if __name__ == "__main__":
    main()
