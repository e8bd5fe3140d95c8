"""What must hold after a random-fault run, read from clients, ledger, logs and metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.chaos_client import End
from loadtests.harness import Proof
from loadtests.kill import Instant
from loadtests.meter import Sample
from loadtests.tiers import samples

Row = Mapping[str, Any]
CUT_WITHIN = 3.0
"""Seconds after a kill in which its clients have noticed, on a machine that is busy."""
GAUGES = (
    "in_flight_requests",
    "upstream_in_flight_calls",
    "upstream_waiting_calls",
    "ledger_open_calls",
)
MORE_MEMORY, MORE_FILES = 1.1, 8
"""Times the memory, and so many descriptors more, than before the run."""


def judge_clients(
    proof: Proof, ends: Sequence[End], instants: Sequence[Instant], requests: Sequence[Row]
) -> None:
    """Each request ended once, for its client and in the ledger."""
    how = Counter(end.ending for end in ends)
    statuses = Counter(end.status for end in ends if end.ending in {"served", "refused"})
    proof.figures["how they ended for their clients"] = ", ".join(
        f"{name} {count:,}" for name, count in how.most_common()
    )
    proof.figures["statuses"] = ", ".join(f"{s}: {n:,}" for s, n in sorted(statuses.items()))
    strange = [end for end in ends if end.ending == "strange" or end.status == 500]
    proof.none_of("each request ends whole, refused, with an error event, left or cut", strange)
    proof.none_of(
        "a connection is cut by a kill alone",
        [
            end
            for end in ends
            if end.ending == "cut"
            and not any(
                end.began < gone and before - 0.1 < end.ended < gone + CUT_WITHIN
                for before, gone in instants
            )
        ],
    )
    rows = Counter(row["request_id"] for row in requests)
    proof.none_of("no row is doubled", [name for name, count in rows.items() if count > 1])
    recorded = [end.name for end in ends if end.recorded]
    proof.figures["answers with a record"] = f"{len(recorded):,}"
    proof.none_of("no acknowledged row is lost", [name for name in recorded if not rows.get(name)])
    names = {end.name for end in ends}
    known = sum(name in names for name in rows)
    proof.figures["requests in the ledger"] = (
        f"{len(requests):,}, of them {len(requests) - known:,} known by the marks of their calls"
    )


def judge_rest(proof: Proof, metrics: str, fell: Sequence[str]) -> None:
    """Gauges are back at nothing, and no counter ever fell."""
    told = samples(metrics)
    proof.none_of("in-flight gauges end at 0", [(g, told[g]) for g in GAUGES if told[g]])
    proof.none_of("no counter falls, kills or not", fell)
    proof.promise("no call went unmarked", held=not told["ledger_unmarked_calls_total"])
    dropped = {name: value for name, value in told.items() if "dropped" in name and value}
    proof.none_of("nothing is dropped", list(dropped.items()))


def judge_return(proof: Proof, base: Sample, last: Sample, seconds: float) -> None:
    """Memory and descriptors are back where they were."""
    proof.figures["memory of all processes, before and after"] = (
        f"{base.rss / 2**20:.0f} and {last.rss / 2**20:.0f} MiB"
    )
    proof.figures["descriptors, before and after"] = (
        f"{base.fds} and {last.fds}, within {seconds:.1f} s of the end"
    )
    proof.promise(
        f"memory returns to within {MORE_MEMORY:.0%} of its base",
        held=last.rss <= MORE_MEMORY * base.rss,
    )
    proof.promise(
        f"descriptors return to within {MORE_FILES} of their base",
        held=last.fds <= base.fds + MORE_FILES,
    )


def counters(metrics: str) -> dict[str, float]:
    """Read every sample of a counter or histogram, by its name and labels."""
    found: dict[str, float] = {}
    rising: set[str] = set()
    for line in metrics.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            if kind in {"counter", "histogram"}:
                rising |= {name, f"{name}_bucket", f"{name}_count", f"{name}_sum", f"{name}_total"}
        elif not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] in rising:
                found[series] = float(value)
    return found


def fallen(before: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    """Name the samples that are less than they were, or gone."""
    return [
        f"{series}: {value} -> {now.get(series)}"
        for series, value in before.items()
        if now.get(series, -1.0) < value - 1e-9
    ]
