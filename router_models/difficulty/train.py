"""Train a scorer on recorded outcomes, and judge what such a training is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isnan
from statistics import fmean
from typing import Any, Final

from router_models.difficulty import report
from router_models.difficulty.data import Outcomes
from router_models.difficulty.duplicates import Embed
from router_models.difficulty.evaluate import Bench, table_of
from router_models.difficulty.formats import DataError
from router_models.difficulty.model import Model, Settings, fit
from router_models.difficulty.reference import of_traffic
from router_models.difficulty.table import Table

SIZES: Final = (250, 500, 1_000)
"""Numbers of labels whose worth is measured, beside all of them."""
DRAWS: Final = 3
JUDGED: Final = 0.5
"""The share of the other rows that must be left to judge on, without near-duplicates."""
FOLDS: Final = 5
RESAMPLES: Final = 500
SHARE: Final = 0.2
"""What goes up at the default threshold of .8."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, what it was fitted to and where it is from, its figures by folds of questions, and
    APGR by labels."""

    model: Model
    table: Table
    texts: tuple[str, ...]
    provenance: dict[str, Any]
    figures: dict[str, Any]
    efficiency: dict[int, float]


def sizes_for(rows: int) -> tuple[int, ...]:
    """Return the numbers of labels worth measuring: each leaves half of the rows to judge on."""
    return tuple(size for size in SIZES if 2 * size <= rows)


def steps_of(outcomes: Outcomes) -> int:
    """Return how often `train` calls `advance`."""
    sources = len({row.source for row in outcomes.rows})
    return 1 + FOLDS + (sources if sources > 1 else 0) + DRAWS * len(sizes_for(len(outcomes.rows)))


def train(
    outcomes: Outcomes,
    settings: Settings,
    embed: Embed | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Trained:
    """Fit on all rows, and judge the same training on questions it has not met.

    The same rows and settings give the same model, whatever the day. Raises DataError when the
    rows are too few or too alike.
    """
    rows = outcomes.rows
    table = table_of(rows)
    model = of_traffic(fit(table, settings), table, settings)
    advance()
    bench = Bench(rows, settings, embed)
    case = report.case_of(rows, by="source")
    run = bench.by_folds(FOLDS, settings.seed, advance)
    figures = report.judge(case, [run], resamples=RESAMPLES) | {
        "operating": report.operating(case, run, SHARE),
        "tiers": list(outcomes.tiers),
        "how": {"what": f"trained and judged by {FOLDS} folds of questions"},
    }
    if len(set(case.tasks)) > 1:
        figures["by_source"] = report.by_task(case, [run])
        others = bench.by_others(case.tasks, advance)
        figures["by_others"] = report.by_task(case, [others])
    worth = {
        size: _worth(bench, case, size, settings.seed, advance) for size in sizes_for(len(rows))
    }
    efficiency = {size: apgr for size, apgr in worth.items() if not isnan(apgr)}
    if figures["apgr"]["value"] is not None:
        efficiency[len(rows) * (FOLDS - 1) // FOLDS] = figures["apgr"]["value"]
    provenance = {
        "rows": len(rows),
        "questions": len(set(table.groups)),
        "tiers": list(outcomes.tiers),
        "sources": dict(sorted(Counter(row.source for row in rows).items())),
        "dropped": dict(outcomes.dropped),
        "figures": {
            name: figures[name]["value"]
            for name in ("apgr", "cpt50", "cpt80", "save95", "save98", "auroc", "ece", "aiq")
        },
        "interval": [figures["apgr"]["low"], figures["apgr"]["high"]],
        "efficiency": {str(labels): round(apgr, 4) for labels, apgr in efficiency.items()},
        **asdict(settings),
    }
    texts = tuple(row.signals.text for row in rows)
    return Trained(model, table, texts, provenance, figures, efficiency)


def _worth(
    bench: Bench, case: report.Case, size: int, seed: int, advance: Callable[[], object]
) -> float:
    """APGR on all other rows after so many labels, the mean over draws; nan where there is none, or
    where most of the others are near-duplicates of what was learnt."""
    worth = []
    for draw in range(DRAWS):
        try:
            run = bench.by_labels(size, seed + draw)
        except DataError:
            continue
        finally:
            advance()
        if len(run.rows) < JUDGED * (len(case.tasks) - size):
            continue
        told = report.judge(case, [run], resamples=1)["apgr"]["value"]
        worth.append(float("nan") if told is None else told)
    return fmean(worth) if worth else float("nan")
