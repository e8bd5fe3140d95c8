"""The proof that a promised quality is kept, and that a plug-in threshold is no promise.

`python -m loadtests.promise --data FILE...`: every row's difficulty is of a scorer that has not met
its question; then, over and over, half of the rows choose a threshold and the others judge it. By
`loadtests.prove` the rows are made up, and what the small tier gets right the large one does too:
nothing that stays below makes up for what is lost, so that a promise has nothing to spare.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

from gateway.core.ranks import rank, reference_of
from gateway.scorers import load
from loadtests import made_up
from loadtests.harness import Proof
from loadtests.telling import show
from router_models.difficulty.data import read_files
from router_models.difficulty.duplicates import static_vectors
from router_models.difficulty.evaluate import Bench
from router_models.difficulty.model import Settings
from router_models.difficulty.rows import Row
from router_models.difficulty.thresholds import Choice, for_quality, plug_in

QUALITY, CONFIDENCE = 0.95, 0.9
SPLITS, FOLDS = 50, 5
LEARNT, CALIBRATED = 600, 200
"""Rows made up for the scorer, and for each calibration."""
FAR = 2.0
"""Standard errors of a mean over splits that are put down to chance."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row: its difficulty and what either tier's reply is worth."""

    value: float
    weak: float
    strong: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What one split came to on the rows that judge: the quality, as a part of the strong tier's,
    and the share that went up."""

    quality: float
    share: float


async def prove(folder: Path, rows: int = 12_000, splits: int = SPLITS) -> Proof:
    """Run it on made-up rows: of each split few choose and all the others judge."""
    return await asyncio.to_thread(_prove, folder, rows, splits)


def _prove(folder: Path, rows: int, splits: int) -> Proof:
    scorer = load(made_up.artefact(folder / "scorer", made_up.rows(LEARNT, 1)))
    cases = [
        Case(scorer.score(row.signals).value, row.scores[0], row.scores[-1])
        for row in made_up.rows(rows, 2)
    ]
    return judge(cases, min(CALIBRATED, rows // 2), splits)


def of_files(paths: Sequence[Path]) -> list[Case]:
    """Read pair files, and let a scorer say of each row what it thinks without having met it."""
    rows: Sequence[Row] = read_files(paths, (), lambda: None, once=True).rows
    run = Bench(rows, Settings(), static_vectors).by_folds(FOLDS, 0)
    reference = reference_of(run.ranking.tolist())
    return [
        Case(rank(score, reference), rows[place].scores[0], rows[place].scores[-1])
        for place, score in zip(run.rows.tolist(), run.ranking.tolist(), strict=True)
    ]


def judge(cases: Sequence[Case], calibrated: int, splits: int) -> Proof:
    """Choose on `calibrated` cases drawn by lot, judge by the rest, `splits` times."""
    draw, proof = random.Random(0), Proof("promise")
    average: list[Kept] = []
    sure: list[Kept] = []
    plugged: list[Kept] = []
    choices: list[Choice] = []
    for _ in range(splits):
        order = draw.sample(list(cases), len(cases))
        here, there = _columns(order[:calibrated]), order[calibrated:]
        chosen = for_quality(*here, QUALITY), for_quality(*here, QUALITY, CONFIDENCE)
        choices.append(plug_in(*here, QUALITY))
        for kept, choice in zip((average, sure, plugged), (*chosen, choices[-1]), strict=True):
            kept.append(_kept(choice, there))
    proof.figures["splits"] = f"{splits}, {calibrated:,} choose, {len(cases) - calibrated:,} judge"
    proof.figures["the first tier's quality, of the strong one's"] = f"{_floor(cases):.1%}"
    told = (("conformal", average), (f"confidence {CONFIDENCE:g}", sure), ("plug-in", plugged))
    for what, kept in told:
        proof.figures[f"{what}: quality kept; up"] = _told(kept)
        proof.figures[f"{what}: splits under {QUALITY:g}"] = f"{_missed(kept)} of {splits}"
    _hold(proof, average, sure, choices)
    return proof


def _hold(
    proof: Proof, average: Sequence[Kept], sure: Sequence[Kept], plugged: Sequence[Choice]
) -> None:
    splits, allowed = len(sure), 1 - CONFIDENCE
    chance = FAR * _error([kept.quality for kept in average])
    proof.promise(
        f"a conformal {QUALITY:.0%} is kept on average over {splits} splits",
        held=fmean(kept.quality for kept in average) >= QUALITY - chance,
    )
    most = splits * allowed + FAR * sqrt(splits * allowed * (1 - allowed))
    proof.promise(
        f"with a confidence of {CONFIDENCE:g} no more splits miss it than chance explains",
        held=_missed(sure) <= most,
    )
    proof.promise(
        "a plug-in threshold is not called a promise",
        held=not any(choice.promises or choice.kind != "plug-in" for choice in plugged),
    )


def _columns(cases: Sequence[Case]) -> tuple[list[float], list[float], list[float]]:
    return (
        [case.value for case in cases],
        [case.weak for case in cases],
        [case.strong for case in cases],
    )


def _kept(choice: Choice, cases: Sequence[Case]) -> Kept:
    """Serve the cases by a threshold; where none can be promised all go up, as in the gateway."""
    threshold = 0.0 if choice.threshold is None else choice.threshold
    up = [case.value >= threshold and threshold < 1 for case in cases]
    served = fmean(case.strong if goes else case.weak for case, goes in zip(cases, up, strict=True))
    return Kept(served / fmean(case.strong for case in cases), fmean(up))


def _floor(cases: Sequence[Case]) -> float:
    return fmean(case.weak for case in cases) / fmean(case.strong for case in cases)


def _missed(kept: Sequence[Kept]) -> int:
    return sum(each.quality < QUALITY for each in kept)


def _error(values: Sequence[float]) -> float:
    return stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0


def _told(kept: Sequence[Kept]) -> str:
    quality = [each.quality for each in kept]
    share = fmean(each.share for each in kept)
    return f"{fmean(quality):.2%} ± {_error(quality):.2%} (worst {min(quality):.2%}); {share:.1%}"


def main() -> int:
    """Print the figures of files; the exit status is 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.promise", description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--splits", type=int, default=SPLITS)
    given = parser.parse_args()
    cases = of_files(given.data)
    proof = judge(cases, len(cases) // 2, given.splits)
    show(proof)
    return 0 if proof.holds else 1


if __name__ == "__main__":
    sys.exit(main())
