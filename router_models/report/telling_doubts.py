"""What a report says of calls whose cost is in doubt: loudly, since the sums do not show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from router_models.report.document import Section, Table, digits_for, usd

_MOST = 20
_NAMED = 3
_LONGEST = 40


def warnings(told: Mapping[str, Any]) -> Iterator[str]:
    """Say what is not in the sums, in a sentence each; for the verdict, and for standard error."""
    if told["missing"]:
        yield (
            f"This is not all: up to {told['missing']:,} requests of the period have been deleted "
            "from the ledger and are in no figure here."
        )
    found = told["certainty"]
    if found["unpriced"]:
        yield (
            f"This is not all: {_calls(found['unpriced'])} {_have(found['unpriced'])} no price and "
            "are in it at $0: give their models one (prices.file)."
        )
    if found["off_rate"]:
        cost = usd(sum(row["cost"] for row in found["off_rate"]))
        yield (
            f"{_calls(found['off_rate'])} ({cost}) {_have(found['off_rate'])} a tier of service "
            "without a price and are booked at the common one: give it one (services)."
        )


def doubts(told: Mapping[str, Any]) -> Section | None:
    """Name the models."""
    rows = [
        *(("no price", row) for row in told["certainty"]["unpriced"]),
        *(("no price for its tier of service", row) for row in told["certainty"]["off_rate"]),
    ]
    if not rows:
        return None
    digits = digits_for(row["cost"] for _, row in rows)
    shown = [
        (name(row["model"]), why, f"{row['calls']:,}", f"{row['tokens']:,}",
         usd(row["cost"], digits))
        for why, row in rows[:_MOST]
    ]  # fmt: skip
    more = [f"{len(rows) - _MOST:,} more models are not shown."] if len(rows) > _MOST else []
    head = ("model", "what is missing", "calls", "tokens", "booked")
    return Section("Not priced, or not at its rate", more, [Table(head, shown, "llrrr")])


def name(model: str) -> str:
    """Write a model's name, which a client may have made up."""
    text = model if model.isprintable() else ascii(model)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _calls(rows: Sequence[Mapping[str, Any]]) -> str:
    calls = sum(row["calls"] for row in rows)
    names = ", ".join(name(row["model"]) or "no model" for row in rows[:_NAMED])
    more = f" and {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else ""
    return f"{calls:,} {'call' if calls == 1 else 'calls'} of {names}{more}"


def _have(rows: Sequence[Mapping[str, Any]]) -> str:
    return "has" if sum(row["calls"] for row in rows) == 1 else "have"
