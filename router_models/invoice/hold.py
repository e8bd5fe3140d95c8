"""The ledger held against a bill, by model and day: how much of it was recorded, and what explains
the rest.

billed - recorded = (billed tokens - recorded tokens) · our prices  +  billed tokens · (their prices
- ours): a gap in tokens and a gap in prices. Our prices are what the ledger's own calls of that
model cost a token, kind by kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from gateway.core.rows import COST_COLUMNS
from router_models.invoice.billed import Billed, match

Row = Mapping[str, Any]
_COUNTS = ("calls", "prompt_tokens", "cached_tokens", "cache_write_tokens", "completion_tokens",
           "cost", *COST_COLUMNS)  # fmt: skip
_UNSURE = {"unsettled", "cancelled", "left", "failed"}
_NEAR = 1
"""Hours on either side of midnight in which a call may stand on the other day of a bill."""


@dataclass
class Recorded:
    """What the ledger has of a model on a day. `unsure` are the parts of it that a bill may count
    otherwise, by why: calls, tokens and cost of each."""

    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    unsure: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, row: Row, local: datetime) -> None:
        """Add some calls of an hour."""
        for name in _COUNTS:
            self.sums[name] += row[name]
        for why in _whys(row, local):
            part = self.unsure.setdefault(why, {"calls": 0, "tokens": 0, "cost": 0})
            part["calls"] += row["calls"]
            part["tokens"] += row["prompt_tokens"] + row["completion_tokens"]
            part["cost"] += row["cost"]


def _whys(row: Row, local: datetime) -> list[str]:
    whys = [row["status"]] if row["status"] in _UNSURE else []
    if row["status"] == "failed" and row["error"] == "connect":
        whys = ["retried"]
    if row["estimated"] and row["status"] != "unsettled":
        whys.append("estimated")
    if row["doubt"]:
        whys.append(row["doubt"])
    if local.hour < _NEAR or local.hour >= 24 - _NEAR:
        whys.append("near midnight")
    return whys


def by_day(rows: Sequence[Row], zone: tzinfo) -> dict[tuple[str, str], Recorded]:
    """The ledger's calls by model and by the zone's day."""
    found: defaultdict[tuple[str, str], Recorded] = defaultdict(Recorded)
    for row in rows:
        local = datetime.fromtimestamp(row["hour"] * 3600, UTC).astimezone(zone)
        found[row["model"], local.date().isoformat()].add(row, local)
    return dict(found)


def hold(
    billed: Mapping[tuple[str, str], Billed],
    recorded: Mapping[tuple[str, str], Recorded],
    same: Mapping[str, str],
) -> dict[str, Any]:
    """Hold both against each other; JSON values. `same` maps billed names to the ledger's."""
    names = sorted({model for model, _ in recorded})
    renamed: dict[tuple[str, str], Billed] = {}
    for (model, day), line in billed.items():
        key = (match(model, names, same), day)
        renamed[key] = renamed[key] + line if key in renamed else line
    days = {day for _, day in renamed}
    ours = {key: each for key, each in recorded.items() if key[1] in days}
    models = {model for model, _ in renamed}
    rates = {model: _rates([each for key, each in ours.items() if key[0] == model])
             for model in models}  # fmt: skip
    rows = [
        _row(key, renamed.get(key), ours.get(key), rates.get(key[0], {}))
        for key in sorted({*renamed, *(key for key in ours if key[0] in models)})
    ]
    return {
        "days": [min(days), max(days)] if days else [],
        "rows": rows,
        "models": [_total([row for row in rows if row["model"] == m], m) for m in sorted(models)],
        "total": _total(rows, "all"),
        "not_recorded": sorted(models - set(names)),
        "without_cost": _without_cost(rows),
        "not_billed": _not_billed(ours, models),
        "unsure": _unsure([each for key, each in ours.items() if key[0] in models]),
    }


def _rates(parts: Sequence[Recorded]) -> dict[str, float]:
    """What a token cost, by kind, and what a call did beside its tokens, in nano-dollars; where
    kinds were not kept apart, of all tokens alike."""
    sums = {name: sum(part.sums[name] for part in parts) for name in _COUNTS}
    fresh = sums["prompt_tokens"] - sums["cached_tokens"] - sums["cache_write_tokens"]
    kinds = {
        "fresh": (sums["input_cost"], fresh),
        "cached": (sums["cached_input_cost"], sums["cached_tokens"]),
        "written": (sums["cache_write_cost"], sums["cache_write_tokens"]),
        "output": (sums["output_cost"] + sums["reasoning_cost"], sums["completion_tokens"]),
        "calls": (sums["request_cost"] + sums["audio_cost"] + sums["image_cost"], sums["calls"]),
    }
    tokens = sums["prompt_tokens"] + sums["completion_tokens"]
    if not tokens:
        return {}
    if sum(cost for cost, _ in kinds.values()) == sums["cost"]:
        known = {kind: cost / count for kind, (cost, count) in kinds.items() if count}
        base = known.get("fresh", 0.0)
        return {kind: known.get(kind, base) for kind in kinds}
    return dict.fromkeys(kinds, sums["cost"] / tokens) | {"calls": 0.0}


def _row(
    key: tuple[str, str],
    billed: Billed | None,
    recorded: Recorded | None,
    rates: Mapping[str, float],
) -> dict[str, Any]:
    line = billed or Billed(key[1], key[0])
    sums = (recorded or Recorded()).sums
    at_ours = _at_our_prices(line, rates, sums["calls"])
    token_gap = None if at_ours is None else at_ours - sums["cost"]
    cost = line.cost if billed else 0
    price_gap = None if at_ours is None or cost is None else cost - at_ours
    return {
        "model": key[0],
        "day": key[1],
        "billed": cost,
        "recorded": sums["cost"],
        "billed_tokens": _tokens(line) if billed else 0,
        "recorded_tokens": sums["prompt_tokens"] + sums["completion_tokens"],
        "billed_requests": line.requests,
        "recorded_calls": sums["calls"],
        "token_gap": token_gap if billed else -sums["cost"],
        "price_gap": price_gap if billed else 0,
    }


def _tokens(line: Billed) -> int | None:
    return None if line.prompt is None else line.prompt + (line.output or 0)


def _at_our_prices(line: Billed, rates: Mapping[str, float], calls: int) -> int | None:
    """What the billed tokens cost by our prices, for as many calls as are billed, or as we know of;
    None where tokens or prices are not known."""
    if line.prompt is None or not rates:
        return None
    cached, written = line.cached or 0, line.written or 0
    amounts = {
        "fresh": line.prompt - cached - written,
        "cached": cached,
        "written": written,
        "output": line.output or 0,
        "calls": calls if line.requests is None else line.requests,
    }
    return round(sum(count * rates[kind] for kind, count in amounts.items()))


def _total(rows: Sequence[Row], name: str) -> dict[str, Any]:
    """The sums; a gap is split as far as it can be, and `not_split` is the rest. Costs are held
    against each other where both are told: `recorded_of_billed` leaves out what was recorded of
    lines without a cost."""
    told: dict[str, Any] = {"model": name}
    for column in ("recorded", "recorded_tokens", "recorded_calls"):
        told[column] = sum(row[column] for row in rows)
    for column in ("billed", "billed_tokens", "billed_requests"):
        known = [row[column] for row in rows if row[column] is not None]
        told[column] = sum(known) if known else None
    told["recorded_of_billed"] = sum(row["recorded"] for row in rows if row["billed"] is not None)
    split = [row for row in rows if row["token_gap"] is not None and row["price_gap"] is not None]
    told["token_gap"] = sum(row["token_gap"] for row in split)
    told["price_gap"] = sum(row["price_gap"] for row in split)
    if told["billed"] is None:
        told["token_gap"] = sum(row["token_gap"] or 0 for row in rows)
        told["not_split"] = None
    else:
        whole = told["billed"] - told["recorded_of_billed"]
        told["not_split"] = whole - told["token_gap"] - told["price_gap"]
    told["captured"] = _ratio(told["recorded_of_billed"], told["billed"])
    told["captured_tokens"] = _ratio(told["recorded_tokens"], told["billed_tokens"])
    return told


def _ratio(part: int, of: int | None) -> float | None:
    return part / of if of else None


def _without_cost(rows: Sequence[Row]) -> list[str]:
    """Name the models of which some days have no cost where others of the bill do; but for those
    that cost nothing by our prices."""
    missing = [row for row in rows if row["billed"] is None]
    if len(missing) == len(rows):
        return []
    known_free = (row["recorded_tokens"] and not row["recorded"] for row in missing)
    return sorted({row["model"] for row, free in zip(missing, known_free, strict=True) if not free})


def _not_billed(ours: Mapping[tuple[str, str], Recorded], models: set[str]) -> dict[str, int]:
    costs: defaultdict[str, int] = defaultdict(int)
    for (model, _), each in ours.items():
        if model not in models:
            costs[model] += each.sums["cost"]
    return dict(costs)


def _unsure(parts: Sequence[Recorded]) -> dict[str, dict[str, int]]:
    told: dict[str, dict[str, int]] = {}
    for part in parts:
        for why, sums in part.unsure.items():
            known = told.setdefault(why, dict.fromkeys(sums, 0))
            for name, value in sums.items():
                known[name] += value
    return told
