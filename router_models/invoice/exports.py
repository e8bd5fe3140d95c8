"""Readers of usage and cost exports: each kind is known by its columns or keys, and becomes lines.

OpenAI: the usage page's CSV and the organisation's usage and costs API as JSON. Anthropic: the
console's usage and cost CSV and the Admin API's reports as JSON. Anybody else's: a CSV with date,
model, input_tokens, cached_tokens, output_tokens, cost_usd.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from router_models.invoice.billed import Billed, InvoiceError, count, day, money

Row = Mapping[str, Any]
Read = Callable[[Row, str], Billed | None]
LARGEST: Final = 256 * 1024 * 1024
"""Bytes of an export."""
_NOT_TOKENS = "not by model"


def read_export(path: Path) -> tuple[str, list[Billed]]:
    """Read an export: its kind, and its lines. Raises InvoiceError, OSError."""
    if path.stat().st_size > LARGEST:
        raise InvoiceError(f"{path.name} is larger than {LARGEST >> 20} MiB.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvoiceError(f"{path.name} is no text in UTF-8.") from None
    if text.lstrip().startswith(("{", "[")):
        return _read_json(text, path.name)
    return _read_csv(text, path.name)


def _read_csv(text: str, name: str) -> tuple[str, list[Billed]]:
    rows = csv.DictReader(io.StringIO(text))
    try:
        columns = {(column or "").strip().lower() for column in rows.fieldnames or ()}
    except csv.Error as error:
        raise InvoiceError(f"{name}:1: {error}.") from None
    for kind, (needed, reader) in _CSV.items():
        if needed <= columns:
            lines = (
                _whole(reader(row, f"{name}:{at}"), f"{name}:{at}")
                for at, row in enumerate(_plain_rows(rows, name), 2)
            )
            return kind, [line for line in lines if line is not None]
    known = "; ".join(f"{kind}: {', '.join(sorted(needed))}" for kind, (needed, _) in _CSV.items())
    raise InvoiceError(f"{name}: no known export has these columns. Known are {known}.")


def _plain_rows(rows: csv.DictReader[str], name: str) -> Iterator[Row]:
    try:
        for row in rows:
            yield {(k or "").strip().lower(): v for k, v in row.items()}
    except csv.Error as error:
        raise InvoiceError(f"{name}:{rows.line_num + 1}: {error}.") from None


def _whole(line: Billed | None, place: str) -> Billed | None:
    """Refuse parts that are larger than their whole."""
    if line is not None and line.prompt is not None:
        parts = (line.cached or 0) + (line.written or 0)
        if parts > line.prompt:
            raise InvoiceError(
                f"{place}: {parts} cached and written tokens are more than {line.prompt} of input: "
                "the input must hold them."
            )
    return line


def _openai_usage(row: Row, place: str) -> Billed | None:
    if not row.get("model"):
        if any(_count(row, name, place) for name in ("input_tokens", "output_tokens")):
            raise InvoiceError(f"{place}: no model; export it grouped by model.")
        return None
    return Billed(
        day=_day(row, "start_time_iso" if row.get("start_time_iso") else "start_time", place),
        model=str(row["model"]),
        prompt=_count(row, "input_tokens", place),
        cached=_count(row, "input_cached_tokens", place),
        written=_count(row, "input_cache_write_tokens", place),
        output=_count(row, "output_tokens", place),
        requests=_count(row, "num_model_requests", place),
    )


def _openai_cost(row: Row, place: str) -> Billed | None:
    """A line item is `gpt-4o-mini-2024-07-18, input` or the like."""
    amount = row.get("amount")
    value = amount.get("value") if isinstance(amount, Mapping) else row.get("amount_value", amount)
    currency = amount.get("currency") if isinstance(amount, Mapping) else row.get("amount_currency")
    if str(currency or "usd").lower() != "usd":
        raise InvoiceError(f"{place}: amounts are in {currency}, not in USD.")
    item = str(row.get("line_item") or _NOT_TOKENS)
    cost = money(value, f"{place}: amount")
    return None if cost is None else Billed(
        day=_day(row, "start_time_iso" if row.get("start_time_iso") else "start_time", place),
        model=item.partition(",")[0].strip(),
        cost=cost,
    )  # fmt: skip


def _anthropic_usage(row: Row, place: str) -> Billed:
    """Its input tokens are apart: fresh ones, reads and writes of the cache."""
    written = _sum(row, place, "usage_input_tokens_cache_write_5m",
                   "usage_input_tokens_cache_write_1h")  # fmt: skip
    cached = _count(row, "usage_input_tokens_cache_read", place) or 0
    fresh = _count(row, "usage_input_tokens_no_cache", place) or 0
    return Billed(
        day=_day(row, "usage_date_utc", place),
        model=str(row["model_version"]),
        prompt=fresh + cached + written,
        cached=cached,
        written=written,
        output=_count(row, "usage_output_tokens", place),
    )


def _anthropic_cost(row: Row, place: str) -> Billed:
    return Billed(
        day=_day(row, "usage_date_utc", place),
        model=str(row.get("model") or _NOT_TOKENS),
        cost=money(row.get("cost_usd"), f"{place}: cost_usd"),
    )


def _generic(row: Row, place: str) -> Billed:
    return Billed(
        day=_day(row, "date", place),
        model=str(row.get("model") or _NOT_TOKENS),
        prompt=_count(row, "input_tokens", place),
        cached=_count(row, "cached_tokens", place),
        written=_count(row, "cache_write_tokens", place),
        output=_count(row, "output_tokens", place),
        requests=_count(row, "requests", place),
        cost=money(row.get("cost_usd"), f"{place}: cost_usd"),
    )


def _count(row: Row, name: str, place: str) -> int | None:
    return count(row.get(name), f"{place}: {name}")


def _day(row: Row, name: str, place: str) -> str:
    return day(row.get(name), f"{place}: {name}")


def _sum(row: Row, place: str, *names: str) -> int:
    return sum(_count(row, name, place) or 0 for name in names)


_CSV: Final[dict[str, tuple[frozenset[str], Read]]] = {
    "Anthropic usage": (frozenset({"usage_date_utc", "model_version", "usage_output_tokens"}),
                        _anthropic_usage),
    "Anthropic cost": (frozenset({"usage_date_utc", "model", "cost_usd"}), _anthropic_cost),
    "OpenAI usage": (frozenset({"start_time", "model", "input_tokens", "output_tokens"}),
                     _openai_usage),
    "OpenAI cost": (frozenset({"start_time", "amount_value", "line_item"}), _openai_cost),
    "generic": (frozenset({"date", "model"}), _generic),
}  # fmt: skip


def _read_json(text: str, name: str) -> tuple[str, list[Billed]]:
    try:
        data = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise InvoiceError(f"{name} is no JSON: {error}.") from None
    pages = data if isinstance(data, list) else [data]
    kinds, lines = set(), []
    for bucket in _buckets(pages, name):
        results = bucket.get("results") or []
        if not isinstance(results, list) or not all(isinstance(row, Mapping) for row in results):
            raise InvoiceError(f"{_place(bucket, name)}: results: must be a list of mappings.")
        for row in results:
            kind, line = _result(bucket, row, name)
            kinds.add(kind)
            lines.append(_whole(line, _place(bucket, name)))
    found = " and ".join(sorted(kinds)) or "empty"
    return found, [line for line in lines if line is not None]


def _buckets(pages: Iterable[Any], name: str) -> Iterator[Row]:
    """The time buckets of one page or several; of either provider."""
    for page in pages:
        held = page.get("data") if isinstance(page, Mapping) else None
        if not isinstance(held, list) or not all(isinstance(each, Mapping) for each in held):
            raise InvoiceError(f"{name}: no page of a usage or cost report: it has no list `data`.")
        if page.get("has_more"):
            raise InvoiceError(f"{name}: there are more pages (has_more); put all into one list.")
        yield from held


def _start(bucket: Row) -> Any:
    return bucket.get("starting_at") or bucket.get("start_time")


def _place(bucket: Row, name: str) -> str:
    return f"{name}, bucket {str(_start(bucket))[:40]}"


def _result(bucket: Row, row: Row, name: str) -> tuple[str, Billed | None]:
    start, place = _start(bucket), _place(bucket, name)
    flat = {**row, "start_time": start, "usage_date_utc": start}
    if "uncached_input_tokens" in row:
        return "Anthropic usage", _anthropic_report(flat, place)
    if "starting_at" in bucket and "amount" in row:
        model = str(row.get("model") or row.get("description") or _NOT_TOKENS)
        cost = money(row["amount"], f"{place}: amount", parts=100)  # it is in cents
        return "Anthropic cost", Billed(day(start, f"{place}: starting_at"), model, cost=cost)
    if "amount" in row:
        return "OpenAI cost", _openai_cost(flat, place)
    if "input_tokens" in row:
        return "OpenAI usage", _openai_usage(flat, place)
    raise InvoiceError(f"{place}: neither usage nor costs: it has {', '.join(sorted(row))[:200]}.")


def _anthropic_report(row: Row, place: str) -> Billed:
    if not row.get("model"):
        raise InvoiceError(f"{place}: no model; ask for group_by[]=model.")
    made = row.get("cache_creation") or {}
    if not isinstance(made, Mapping):
        raise InvoiceError(f"{place}: cache_creation: must be a mapping.")
    written = _sum(made, place, *made)
    cached = _count(row, "cache_read_input_tokens", place) or 0
    fresh = _count(row, "uncached_input_tokens", place) or 0
    return Billed(
        day=_day(row, "start_time", place),
        model=str(row["model"]),
        prompt=fresh + cached + written,
        cached=cached,
        written=written,
        output=_count(row, "output_tokens", place),
    )
