"""Answers as CSV: the one table of each that somebody takes along."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

TABLES: Final = {
    "money": "over_time",
    "routing": "over_time",
    "health": "over_time",
    "requests": "requests",
}
_TIMES: Final = ("at", "started_at")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def as_csv(name: str, told: Mapping[str, Any]) -> str:
    """Write an answer's table, money in nano-dollars, times in UTC; what is a mapping gets a column
    for each of its names."""
    rows = [_flat(row) for row in told[TABLES[name]]]
    names = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_cell(key) for key in names])
    writer.writerows([_cell(row.get(key, "")) for key in names] for row in rows)
    return out.getvalue()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": each for inner, each in value.items()}
        elif isinstance(value, Sequence) and not isinstance(value, str):
            flat[key] = "; ".join(" ".join(map(str, each.values())) for each in value)
        elif key in _TIMES:
            flat[key] = datetime.fromtimestamp(value, UTC).isoformat()
        else:
            flat[key] = value
    return flat


def _cell(value: object) -> object:
    """What a spreadsheet would take for a formula becomes text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
