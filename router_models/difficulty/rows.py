"""One question a row: what is learnt from, whatever it was read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.core.database_url import DatabaseUrl
from gateway.core.signals import Signals
from router_models.difficulty.duplicates import normal
from router_models.difficulty.formats import DataError

REPEATED: Final = "repeated"


@dataclass(frozen=True, slots=True)
class Row:
    """One request and how good, 0..1, each tier's answer was, cheap to strong. `costs` are in USD
    a request, None where unknown; `cost_kind` says where they are from (recorded, est, none)."""

    signals: Signals
    scores: tuple[float, ...]
    source: str
    task: str = ""
    costs: tuple[float | None, ...] = ()
    cost_kind: str = "none"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Rows with the tiers that their scores are of, and how many were dropped for what reason."""

    rows: tuple[Row, ...]
    tiers: tuple[str, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """What was read and what was dropped, in a sentence."""
        gone = ", ".join(f"{count:,} {why}" for why, count in self.dropped.items() if count)
        return f"{len(self.rows):,} rows" + (f" (dropped: {gone})" if gone else "")


def clean(
    rows: Iterable[Row | str], path: Path | DatabaseUrl, seen: set[str]
) -> tuple[tuple[Row, ...], Counter[str]]:
    """Keep rows with a prompt that no row before has; a str is the reason why a row was dropped.

    `seen` holds the prompts of files before, and is added to. Raises DataError for a file that
    holds nothing to learn from, be it new or repeated.
    """
    kept: list[Row] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        if isinstance(row, str):
            dropped[row] += 1
            continue
        key = normal(row.signals.text)
        if not key:
            dropped["without a prompt"] += 1
        elif key in seen:
            dropped[REPEATED] += 1
        else:
            kept.append(row)
        seen.add(key)
    if not kept and not dropped[REPEATED]:
        why = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())
        raise DataError(
            f"{path}: it holds no rows to learn from"
            + (f" ({why}); a scorer learns from prompts and scores." if why else ".")
        )
    return tuple(kept), dropped
