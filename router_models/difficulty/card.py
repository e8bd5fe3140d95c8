"""The card beside an artefact: what it learnt from, how well, and where not to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.scorers.artefact import feature_version
from router_models.difficulty.evaluate import Result, as_markdown
from router_models.difficulty.metrics import BINS

SOURCES: Final = """\
| rows | tiers, small and large | published by | licence |
|---|---|---|---|
| routellm_mmlu, _gsm8k | Mixtral-8x7B, GPT-4-1106 | lm-sys/RouteLLM | Apache-2.0, MIT |
| nim_llama8b_nemotron51b | Llama-3.1-8B, Nemotron-51B | ulab-uiuc/LLMRouter | MIT |
| mmlupro_llama8b_llama70b | Llama-3.1-8B, 70B | TIGER-AI-Lab/MMLU-Pro | Apache-2.0, MIT |
| zeroeval_gsm, _mathl5, _crux | Llama-3.1-8B, GPT-4o | WildEval/ZeroEval | Apache-2.0 |

About half of each source's questions were used. Rows that their publishers mark as contaminated
and repeated prompts were dropped; near-duplicates (ten words in a row shared) are never on both
sides of a fold, across all sources; a source counts as the root of its size."""

OWN_ROWS: Final = """\
Rows of one's own, given with `--rows`. Near-duplicates (ten words in a row shared) are never on
both sides of a fold."""

TEXT: Final = """\
# Difficulty scorer `{label}`

Estimates, from a prompt alone, the chance that the small and that the large tier answer well, and
ranks prompts by the difference. {rows:,} rows of {questions:,} questions; seed {seed};
features `{features}`.

## What it learnt from

{data}

The artefact holds no prompt: only words, and pairs of neighbouring words, that at least
{min_questions} different questions share, each with its weights. Numbers are kept as digit counts.

## How well, on questions it has not met

Random routing has APGR .5, CPT50 50 % and CPT80 80 %. CPT: the share of traffic that must go to
the large tier to recover 50 % (80 %) of the gap between the tiers. ECE: mean gap between promised
and kept probability, {bins} bins. "length-only" sends the longest prompts up.

{results}
## Where not to trust it

- **It does not transfer.** On sources whose questions it has not met it is near chance (the table
  on other sources where given; published routers fare the same), and its probabilities are then
  not calibrated. On other traffic or another pair of models take it for a rough order at best, and
  train on a few hundred outcomes of your own: `python -m router_models.difficulty.train --rows`.
- Sorting by length alone does as well or better on: {beaten}.
- It learns mostly which kind of task benefits, little about which question: inside one
  hard, homogeneous set it hardly beats chance.
- The rank (`value`) refers to the rows above. On other traffic the share above a threshold is not
  one minus the threshold.
- The context's counters (tools, turns, JSON, history) weigh only where rows vary in
  them{varied}.
- English only. It reads the first 1,500 and the last 500 characters of the last user message.

## How it is made

Ridge (penalty {alpha}) on tf-idf of words and word pairs ({terms:,} terms at most) and bounded
counters; each head calibrated by a logistic curve on folds by question. A term moves a head's raw
value by at most {term_cap}, a counter counts to {counter_cap} standard deviations at most.
"""


def write_card(
    label: str, provenance: dict[str, object], results: Sequence[Result], *, shipped: bool
) -> str:
    """Return the card's Markdown. `provenance` holds the settings and the rows' numbers."""
    beaten = [
        one.source
        for one in results
        if one.training == results[0].training and one.length_apgr >= one.apgr
    ]
    return TEXT.format(
        label=label,
        features=feature_version(),
        data=SOURCES if shipped else OWN_ROWS,
        varied="; in these they do not" if shipped else "",
        results=as_markdown(results),
        beaten=", ".join(beaten) or "none of the sources",
        bins=BINS,
        terms=provenance["max_terms"],
        **{key: value for key, value in provenance.items() if key != "sources"},
    )
