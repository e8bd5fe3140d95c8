"""Outcomes to train on and to judge by, made up: none of them was ever asked of a model."""

from __future__ import annotations

import csv
import gzip
import json
import random

from gateway.core.signals import Signals
from router_models.difficulty.evaluate import table_of
from router_models.difficulty.export import write_artefact
from router_models.difficulty.model import Settings, fit
from router_models.difficulty.rows import Row

TREES = "ash birch cedar elm fir hazel larch maple oak pine rowan spruce willow yew".split()


def sums(n, seed=0):
    """Sums that the small model can do when they are of one digit, and harmless talk."""
    draw = random.Random(seed)
    rows = []
    for _ in range(n):
        hard = draw.random() < 0.5
        a, b = (draw.randrange(10, 99) if hard else draw.randrange(1, 10) for _ in range(2))
        trees = " ".join(draw.choices(TREES, k=3))
        prompt = f"{trees}: what is {a}{draw.choice('+-*')}{b}?"
        weak = int(draw.random() < (0.1 if hard else 0.9))
        rows.append(
            {
                "prompt": prompt,
                "task": "long" if hard else "short",
                "weak_score": weak,
                "strong_score": int(draw.random() < 0.97),
                "weak_cost": 0.001,
                "strong_cost": 0.01 if hard else 0.008,
                "cost_kind": "recorded",
            }
        )
    return rows


def coins(n, seed=0):
    """Outcomes that no prompt tells anything of."""
    draw = random.Random(seed)
    records = sums(n, seed)
    for record in records:
        record["weak_score"] = int(draw.random() < 0.5)
        record["strong_score"] = int(draw.random() < 0.9)
    return records


def rows_of(records, source="own"):
    """The same as rows."""
    return tuple(
        Row(
            Signals(text=r["prompt"], prompt_chars=len(r["prompt"]), turns=1),
            (float(r["weak_score"]), float(r["strong_score"])),
            source,
            r.get("task", ""),
            (r.get("weak_cost"), r.get("strong_cost")),
            r.get("cost_kind", "none"),
        )
        for r in records
    )


def write_rows(path, records):
    """Write records as the file's name says."""
    if ".parquet" in path.suffixes:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(records), path)
        return path
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        if ".jsonl" in path.suffixes:
            file.write("".join(json.dumps(record) + "\n" for record in records))
        else:
            writer = csv.DictWriter(file, list(records[0]))
            writer.writeheader()
            writer.writerows(records)
    return path


def quick_artefact(folder, label, seed=0, n=150):
    """Train one that tells long sums from short ones, in a moment."""
    rows = rows_of(sums(n, seed))
    return write_quickly(folder, label, rows, seed)


def blind_artefact(folder, label):
    """Train one that has learnt from coins."""
    return write_quickly(folder, label, rows_of(coins(150, 5)))


def write_quickly(folder, label, rows, seed=0):
    """Fit with few folds and write."""
    table = table_of(rows)
    model = fit(table, Settings(folds=3, seed=seed))
    provenance = {"rows": len(rows)}
    write_artefact(folder, model, label, provenance, table, [row.signals.text for row in rows])
    return folder


def runs(count, *, ratio=0.02, prompts=False):
    """Half of the weak answers fail, and the recorded tests tell which, but for one in twenty."""
    rows, draw = [], random.Random(0)
    for n in range(count):
        right = n % 2
        rows.append(
            {
                "prompt_id": f"run-{n}",
                "prompt": " ".join(draw.choices(TREES, k=14)) if prompts else "",
                "weak_score": right,
                "strong_score": 0 if n % 10 == 3 else 1,
                "weak_cost": 0.05 * ratio,
                "strong_cost": 0.05,
                "weak_check.tests": right if n % 20 else 1 - right,
            }
        )
    return rows
