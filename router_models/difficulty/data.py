"""Recorded outcomes to learn from: read from files or a ledger, cleaned, one row a question."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any, Final

from gateway.core.chat import CHARS_PER_TOKEN
from gateway.core.database_url import DatabaseUrl
from gateway.core.signals import Signals
from router_models.difficulty.duplicates import near_duplicates, normal
from router_models.difficulty.formats import DataError, Record, is_ledger, records
from router_models.difficulty.rows import Outcomes, Row, clean

__all__ = [
    "DataError",
    "Outcomes",
    "Row",
    "balance",
    "near_duplicates",
    "normal",
    "read_files",
]

PAIR: Final = ("weak", "strong")
"""The tiers of a pair file, by its columns weak_score and strong_score."""
_MOST: Final = 1e9
_LOOKED_AT: Final = 5
"""Rows whose columns are looked at before a file is taken or refused."""


def read_files(
    paths: Iterable[Path | DatabaseUrl],
    tiers: Sequence[str] = (),
    advance: Callable[[], object] = lambda: None,
    *,
    once: bool = False,
) -> Outcomes:
    """Read pair files, one's own rows and ledgers, without contaminated rows and repeated prompts.

    A prompt is kept once of each source, which is a file's name without its endings, since another
    source may tell of other models; with `once` it is kept once of all files.

    Columns: prompt, and a score for each tier: weak_score and strong_score, or score_TIER for any
    number of tiers, cheap to strong in the order of `tiers` or else of the columns. Where known:
    task, costs (weak_cost or cost_TIER, USD), cost_kind, extra (JSON with `contaminated`), turns,
    tools, wants_json, max_tokens. `advance` is called after each file. Raises DataError for a file
    that cannot be learnt from.
    """
    every: list[Outcomes] = []
    met: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        seen = met["" if once else _source(path)]
        one = _ledger(path, tiers, seen) if is_ledger(path) else _file(path, tiers, seen)
        if every and one.tiers != every[0].tiers:
            raise DataError(
                f"{path}: its tiers are {', '.join(one.tiers)}, those of the file before "
                f"{', '.join(every[0].tiers)}; say which with --tiers."
            )
        every.append(one)
        advance()
    if not every:
        raise DataError("No file was given.")
    dropped: Counter[str] = Counter()
    for each in every:
        dropped.update(each.dropped)
    return Outcomes(tuple(row for each in every for row in each.rows), every[0].tiers, dropped)


def balance(sources: Sequence[str]) -> list[float]:
    """Weigh rows so that a source counts as the root of its size; the mean weight is 1."""
    sizes = Counter(sources)
    weights = [sizes[source] ** -0.5 for source in sources]
    mean = sum(weights) / len(weights)
    return [weight / mean for weight in weights]


# --------------------------------------------------------------------------- files


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns that hold each tier's score and cost, and the tiers' names."""

    tiers: tuple[str, ...]
    scores: tuple[str, ...]
    costs: tuple[str, ...]


def _source(path: Path | DatabaseUrl) -> str:
    return path.name.partition(".")[0]


def _file(path: Path | DatabaseUrl, tiers: Sequence[str], seen: set[str]) -> Outcomes:
    stream = iter(records(path))
    first = list(islice(stream, _LOOKED_AT))
    if not first:
        raise DataError(f"{path}: it holds no rows.")
    names = list(dict.fromkeys(name for record in first for name in record if name))
    columns = _columns(path, names, tiers)
    source = _source(path)

    def read() -> Iterable[Row | str]:
        for number, record in enumerate((*first, *stream), 1):
            try:
                yield _row(record, columns, source)
            except ValueError as error:
                raise DataError(f"{path}, row {number}: {error}") from error

    rows, dropped = clean(read(), path, seen)
    return Outcomes(rows, columns.tiers, dropped)


def _columns(path: Path | DatabaseUrl, names: Sequence[str], tiers: Sequence[str]) -> _Columns:
    if "prompt" not in names:
        long = " A file with one row a model holds no prompts: give the pair file."
        raise DataError(
            f"{path}: no column 'prompt' (there are: {', '.join(names)})."
            + (long if {"prompt_id", "model"} <= set(names) else "")
        )
    found = list(tiers) or [n.removeprefix("score_") for n in names if n.startswith("score_")]
    found = found or list(PAIR)
    columns = [_column(names, tier, "score") for tier in found]
    if len(found) == len(PAIR) and None in columns:
        # A pair file says weak and strong, whatever the tiers are called in the configuration.
        pair = [_column(names, tier, "score") for tier in PAIR]
        if None not in pair:
            costs = [_column(names, tier, "cost") or "" for tier in PAIR]
            return _Columns(tuple(found), tuple(filter(None, pair)), tuple(costs))
    if None in columns:
        missing = found[columns.index(None)]
        wanted = f"{missing}_score" if tuple(found) == PAIR else f"score_{missing}"
        raise DataError(f"{path}: no column '{wanted}' (there are: {', '.join(names)}).")
    if len(found) < 2:
        raise DataError(f"{path}: scores of one tier only ({found[0]}); at least two are compared.")
    costs = [_column(names, tier, "cost") or "" for tier in found]
    return _Columns(tuple(found), tuple(filter(None, columns)), tuple(costs))


def _column(names: Sequence[str], tier: str, kind: str) -> str | None:
    return next((name for name in (f"{kind}_{tier}", f"{tier}_{kind}") if name in names), None)


def read_prompts(paths: Iterable[Path | DatabaseUrl]) -> list[Signals]:
    """Read the prompts of files, whether anybody knows an outcome or not. Raises DataError."""
    found = []
    for path in paths:
        for number, record in enumerate(records(path), 1):
            if "prompt" not in record:
                raise DataError(f"{path}: no column 'prompt' (there are: {', '.join(record)}).")
            try:
                signals = signals_of(record)
            except ValueError as error:
                raise DataError(f"{path}, row {number}: {error}") from error
            if signals.text.strip():
                found.append(signals)
    if not found:
        raise DataError("No prompt was given.")
    return found


def _row(record: Record, columns: _Columns, source: str) -> Row | str:
    """Read a row, or say why it is dropped. Raises ValueError for a value that is none."""
    if is_contaminated(record.get("extra")):
        return "contaminated"
    if any(_is_blank(record.get(name)) for name in columns.scores):
        return "without a score for every tier"
    scores = tuple(_number(record, name) for name in columns.scores)
    if not all(0 <= score <= 1 for score in scores):
        raise ValueError(f"scores are 0..1, this row has {scores}.")
    kind = str(record.get("cost_kind") or "recorded")
    costs = tuple(None if kind == "none" else usd(record, name) for name in columns.costs)
    return Row(
        signals_of(record),
        scores,
        source,
        str(record.get("task") or source),
        costs,
        "none" if all(cost is None for cost in costs) else kind,
    )


def signals_of(record: Record) -> Signals:
    """Measure a row's prompt. Raises ValueError for a column that is no count."""
    text = str(record.get("prompt") or "")
    turns, tools, bound = (_count(record, name) for name in ("turns", "tools", "max_tokens"))
    return Signals(
        text=text,
        prompt_chars=len(text),
        prompt_tokens=len(text) // CHARS_PER_TOKEN + 4,
        turns=turns or 1,
        tools=tools,
        wants_json=str(record.get("wants_json") or "").lower() in {"1", "true", "yes"},
        max_tokens=bound or None,
    )


def usd(record: Record, name: str) -> float | None:
    """Read a cost in USD; what is not written down is unknown, never free. Raises ValueError."""
    if not name or _is_blank(record.get(name)):
        return None
    cost = _number(record, name)
    if not 0 <= cost < float("inf"):
        raise ValueError(f"{name} is {cost}, not a cost in USD.")
    return cost


def score(record: Record, name: str) -> float | None:
    """Read a score, 0..1, or that of a check; None where there is none. Raises ValueError."""
    if _is_blank(record.get(name)):
        return None
    found = _number(record, name)
    if not 0 <= found <= 1:
        raise ValueError(f"{name} is {found:g}; scores are 0..1.")
    return found


def _count(record: Record, name: str) -> int:
    number = 0.0 if _is_blank(record.get(name)) else _number(record, name)
    if not 0 <= number < _MOST:
        raise ValueError(f"{name} is {number:g}, not a count.")
    return int(number)


def _number(record: Record, name: str) -> float:
    try:
        return float(record[name])
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} is {str(record[name])[:40]!r}, which is no number.") from None


def _is_blank(value: Any) -> bool:
    """Nothing, in any of the ways in which a table writes that down."""
    if isinstance(value, float):
        return isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def is_contaminated(extra: Any) -> bool:
    """Does a row's `extra` say that its prompt was in a model's training?"""
    if isinstance(extra, str) and "contaminated" in extra:
        try:
            extra = json.loads(extra)
        except ValueError:
            return False
    return isinstance(extra, Mapping) and bool(extra.get("contaminated"))


def _ledger(path: Path | DatabaseUrl, tiers: Sequence[str], seen: set[str]) -> Outcomes:
    """What was said of a gateway's own traffic."""
    # It brings the store with it.
    from router_models.difficulty.ledger import labelled  # noqa: PLC0415

    return labelled(path, tiers, seen)
