"""The card beside an artefact: what it learnt from, how well, and where not to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import log2
from typing import Any, Final

from gateway.scorers.artefact import feature_version
from router_models.difficulty import tables
from router_models.difficulty.metrics import BINS
from router_models.difficulty.train import FOLDS, Trained

OWN_ROWS: Final = "Rows of one's own: the gateway's traffic or files of it."
TEXT: Final = """\
# Difficulty scorer `{label}`

Estimates, from a request alone, the chance that each tier ({tiers}) answers it well, and ranks
requests by what a stronger tier is expected to gain. {date}; {rows:,} rows of {questions:,}
questions; features `{features}`.

## What it learnt from

{about}

{sources}

Rows that are marked as contaminated and repeated prompts were dropped ({dropped}). The artefact
holds no prompt: only words that several questions share, weights, and a one-way hash of each
question, by which it is never judged on what it has met.

## How well, on questions it has not met

Trained and judged by {folds} folds of questions; near-duplicates across them (ten words in a row
shared, or static vectors of cosine .95) are not learnt from. Random routing has APGR .5, CPT50 50 %
and CPT80 80 %; "length" sends the longest first, "oracle" knows all answers. CPT: the share of
traffic that must go up to recover 50 % (80 %) of the gap between the tiers. Saved: of the strong
tier's cost, keeping 95 % (98 %) of its quality. ECE: mean gap between promised and kept probability
in {bins} bins, the worst head's.

{figures}

{remarks}
{by_source}
## What more labels would bring

{efficiency}

## Where not to trust it

{length}\
- **It does not transfer.** On traffic or a pair of models that it has not learnt from it is near
  chance, as published routers are, and its probabilities are then not calibrated: take it for a
  rough order at best, and train on a few hundred outcomes of your own:
  `waterfall train --data labels.csv --out my-scorer`.
- It learns mostly which kind of task benefits, little about which question: inside one hard,
  homogeneous set it hardly beats chance.
- A difficulty is a rank among the rows above until the gateway has gathered traffic of its own.
- It reads the first 1,500 and the last 500 characters of the last user message. What its rows did
  not vary in (language, tools, turns) it knows nothing of.

## How it is made

`waterfall train`: one ridge over words, pairs of words and likeness to clusters of texts, with a
head for each tier, calibrated on folds of questions. What a feature may add is capped.
Settings: {settings}.
"""
_STEP: Final = 1.2
"""How many times as many labels it takes to speak of what they bring ..."""
_NOISE: Final = 0.005
"""... and the APGR a doubling must bring."""
_TOLD: Final = frozenset(
    "rows questions tiers sources dropped figures interval efficiency date about".split()
)
"""Of a provenance: what is no setting."""


LENGTH_ALONE: Final = """\
- **Nothing but length was learnt.** On questions not met all else erred more: these labels are too
  few, or the prompt does not say who gains by the strong tier. Sorting by length is what this does.
"""


def write_card(label: str, trained: Trained, provenance: Mapping[str, Any], about: str) -> str:
    """Return the card's Markdown. `about` says whose the rows are and under which licence."""
    return TEXT.format(
        label=label,
        tiers=", ".join(provenance["tiers"]),
        date=provenance.get("date", ""),
        rows=provenance["rows"],
        questions=provenance["questions"],
        features=feature_version(),
        about=about.strip() or OWN_ROWS,
        sources="\n".join(
            f"- `{source}`: {count:,} rows" for source, count in provenance["sources"].items()
        ),
        dropped=", ".join(f"{n:,} {why}" for why, n in provenance["dropped"].items()) or "none",
        folds=FOLDS,
        bins=BINS,
        figures=_figures(trained.figures),
        remarks="\n".join(tables.remarks(trained.figures)) + "\n",
        by_source=_by_source(trained.figures),
        efficiency=efficiency(trained.efficiency),
        length=LENGTH_ALONE if trained.model.penalty is None else "",
        settings=", ".join(f"{k} {v}" for k, v in provenance.items() if k not in _TOLD),
    )


def efficiency(curve: Mapping[int, float]) -> str:
    """Say what labels have brought, and what a doubling brought last."""
    if not curve:
        return "Too few different questions to say: an experiment must leave enough to judge on."
    lines = ["| labels | APGR |", "|---|---|"]
    lines += [f"| {labels:,} | {apgr:.3f} |" for labels, apgr in curve.items()]
    steps = [step for step in pairwise(curve.items()) if step[1][0] >= _STEP * step[0][0]]
    if steps:
        (fewer, before), (more, after) = steps[-1]
        doubling = (after - before) / log2(more / fewer)
        lines += ["", f"From {fewer:,} to {more:,} labels APGR moved by {after - before:+.3f}:"]
        lines += [
            f"expect {doubling:+.3f} or less of twice as many."
            if doubling > _NOISE
            else "no more than chance; more of the same kind would hardly help."
        ]
    return "\n".join(lines)


def _figures(told: Mapping[str, Any]) -> str:
    lines = ["| | value | 95 % | random | length | oracle |", "|---|---|---|---|---|---|"]
    for name, title in tables.NAMES.items():
        cells = [title, tables.cell(name, told[name]), tables.interval(name, told[name])]
        cells += [tables.cell(name, told[each].get(name)) for each in tables.BESIDE]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_source(told: Mapping[str, Any]) -> str:
    """Each source, after learning from all and after learning from the others alone."""
    if "by_source" not in told:
        return ""
    lines = [
        "| source | n | APGR | 95 % | length | ECE | APGR after the other sources alone |",
        "|---|---|---|---|---|---|---|",
    ]
    for source, own in told["by_source"].items():
        other = told["by_others"].get(source, {})
        cells = [source, f"{own['n']:,}", tables.cell("apgr", own["apgr"])]
        cells += [tables.interval("apgr", own["apgr"]), tables.cell("apgr", own["length"]["apgr"])]
        cells += [tables.cell("ece", own["ece"]), tables.cell("apgr", other.get("apgr"))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
