"""Quality: what labels say of the answers, and how far the scorer's word can be relied on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from gateway.store import rollups
from gateway.store.totals import judged
from router_models.dashboard.asking import Asked
from router_models.dashboard.hourly import about
from router_models.dashboard.what_if import MOST, SAMPLE
from router_models.replay.recorded import Record
from router_models.report import quality as labelled
from router_models.report.quality import LEAST
from router_models.report.what_if import drawn_judged

NEWEST: Final = 3_000
"""Judged requests that are looked at, of those that were judged at any time."""
BINS: Final = 10


def quality(asked: Asked) -> dict[str, Any]:
    """Say it. Mean labels and the difference to the baseline tier are those of `waterfall report`,
    over the newest judged requests; `calibration` holds the probability that the first tier is good
    against what was said of its answers, in tenths, of requests drawn by chance. `baseline_label`
    is the baseline tier's mean label, whoever served."""
    served: Counter[str] = Counter()
    baselines: Counter[str] = Counter()
    labels = judged(asked.place, asked.period, NEWEST)
    for row in rollups.served(asked.place, asked.since, asked.until):
        if asked.route in {None, row["route"]}:
            served[row["tier"]] += int(row["requests"])
    served.pop("none", None)
    for label in labels:
        baselines[label["baseline_tier"]] += label["labelled"]
    baseline = baselines.most_common(1)[0][0] if baselines else ""
    own, judged_own = (sum(row[n] or 0 for row in labels) for n in ("large", "large_judged"))
    seed = asked.whole("seed", 0, 0, 2**31 - 1)
    count = asked.whole("sample", SAMPLE, 1, MOST)
    drawn = drawn_judged(asked.place, asked.period, count, seed)
    return {
        **about(asked),
        "newest": NEWEST,
        "baseline_tier": baseline,
        "baseline_label": float(own / judged_own) if judged_own >= LEAST else None,
        "served": dict(served.most_common()),
        **labelled.quality(labels, dict(served), baseline),
        "calibration": _calibration([each.record for each in drawn]),
        "drawn": len(drawn),
        "seed": seed,
        "least": LEAST,
    }


def _calibration(records: Sequence[Record]) -> list[dict[str, Any]]:
    """By tenths of the predicted probability: how many answers of the first tier were judged, what
    was predicted, and what was said of them; means."""
    bins: list[list[tuple[float, float]]] = [[] for _ in range(BINS)]
    for record in records:
        expected, names = record.row["p_good"], list(record.decided.plan.expected)
        good = record.good.get(names[0]) if names else None
        if expected and good is not None:
            bins[min(int(expected[0] * BINS), BINS - 1)].append((expected[0], good))
    return [
        {
            "count": len(each),
            "predicted": sum(pair[0] for pair in each) / len(each),
            "found": sum(pair[1] for pair in each) / len(each),
        }
        for each in bins
        if each
    ]
