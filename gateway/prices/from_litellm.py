"""Prices out of the price file that comes with litellm, which is read and never imported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gateway.core.money import dollars, nano

FILE = "model_prices_and_context_window_backup.json"
MODES = frozenset({"chat", "responses", "completion"})
RATES = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "reasoning": "output_cost_per_reasoning_token",
    "audio_input": "input_cost_per_audio_token",
    "audio_output": "output_cost_per_audio_token",
    "image_input": "input_cost_per_image_token",
    "image_output": "output_cost_per_image_token",
}
SERVICES = {
    "flex": "_flex",
    "priority": "_priority",
    "batch": "_batches",
    "balanced": "_balanced",
    "ultrafast": "_ultrafast",
}
_BAND = re.compile(r"_above_(\d+)(k?)_tokens")
_FROM_THE_EDGE = frozenset({"xai"})
"""Providers whose bands begin with the edge itself, and not with the token after it."""

Said = dict[str, Any]
"""A price as a price file has it; amounts are decimal text in dollars."""


@dataclass(frozen=True, slots=True)
class Found:
    """What litellm's file has of the models that were asked for: prices as a price file would have
    them, each with its source, and who was left out for which reason."""

    version: str
    patterns: tuple[str, ...] = ("*",)
    prices: Mapping[str, Said] = field(default_factory=dict)
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def find_file() -> Path | None:
    """Return where the installed litellm has its price file; None where there is no litellm."""
    spec = find_spec("litellm")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / FILE
        if path.is_file():
            return path
    return None


def read_prices(path: Path, patterns: Iterable[str]) -> Found:
    """Read the prices of the models that match one of the patterns, such as `gpt-5*`.

    Raises OSError, or ValueError when the file is none of litellm's.
    """
    entries = json.loads(path.read_bytes())
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise ValueError("it is not a mapping of models to prices")
    wanted = tuple(patterns)
    prices: dict[str, Said] = {}
    left_out: dict[str, list[str]] = {}
    for model, entry in entries.items():
        if model == "sample_spec" or not matches(model, wanted):
            continue
        reason = why_not(entry)
        if reason:
            left_out.setdefault(reason, []).append(model)
        else:
            prices[model] = {"source": entry["source"], **said_of(entry)}
    told = {reason: tuple(models) for reason, models in left_out.items()}
    return Found(_version(path), wanted, prices, told)


def matches(model: str, patterns: Iterable[str]) -> bool:
    """Is it one of the models that are meant?"""
    return any(fnmatchcase(model, each) for each in patterns)


def why_not(entry: Mapping[str, Any]) -> str:
    """Say why a price is not taken over; empty where it is."""
    first = _tiers(entry)[0] if _tiers(entry) else entry
    own = {name: _amount(first.get(key)) for name, key in RATES.items()}
    if entry.get("mode") not in MODES:
        return "no chat model"
    if own["input"] is None or own["output"] is None:
        return "not priced by tokens of input and output"
    if not (own["input"] or own["output"]):
        return "priced at zero"
    if not str(entry.get("source") or "").startswith("https://"):
        return "no source"
    if "off_peak_pricing" in entry:
        return "priced by the hour of the day"
    return ""


def said_of(entry: Mapping[str, Any]) -> Said:
    """Turn one of litellm's entries into what a price file says."""
    if tiers := _tiers(entry):
        said, *above = (_rates(tier) for tier in tiers)
        edges = (str(int(tier["range"][0])) for tier in tiers[1:])
        return said | {"above": dict(zip(edges, above, strict=True))}
    said = _service(entry, "")
    fee = _amount(entry.get("input_cost_per_request"))
    services = {name: _service(entry, suffix) for name, suffix in SERVICES.items()}
    for service in services.values():
        if "reasoning" in said and "output" in service:
            service.setdefault("reasoning", service["output"])
    given = {name: service for name, service in services.items() if service}
    return (
        said
        | ({"request": dollars(nano(fee))} if fee else {})
        | ({"services": given} if given else {})
    )


def _service(entry: Mapping[str, Any], suffix: str) -> Said:
    """Read the rates of one tier of service, and those of its bands."""
    inclusive = entry.get("litellm_provider") in _FROM_THE_EDGE
    edges = {match.group() for key in entry if (match := _BAND.search(key))}
    above = {
        _edge(edge, inclusive=inclusive): rates
        for edge in sorted(edges, key=lambda each: int(_edge(each, inclusive=False)))
        if (rates := _rates(entry, f"{edge}{suffix}"))
    }
    return _rates(entry, suffix) | ({"above": above} if above else {})


def _edge(written: str, *, inclusive: bool) -> str:
    number, thousands = _BAND.fullmatch(written).groups()  # type: ignore[union-attr]
    return str(int(number) * (1000 if thousands else 1) - inclusive)


def _rates(entry: Mapping[str, Any], suffix: str = "") -> Said:
    found = {name: _amount(entry.get(f"{key}{suffix}")) for name, key in RATES.items()}
    return {
        name: dollars(nano(amount * 1_000_000))
        for name, amount in found.items()
        if amount is not None
    }


def _tiers(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the prices by length of prompt of those who give a list of them, rising."""
    tiers = entry.get("tiered_pricing")
    ranged = [each for each in tiers if "range" in each] if isinstance(tiers, list) else []
    return sorted(ranged, key=lambda tier: float(tier["range"][0]))


def _amount(value: object) -> Decimal | None:
    """Read dollars, which litellm writes as numbers and now and then as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if 0 <= amount <= 1 else None


def _version(path: Path) -> str:
    try:
        return f"litellm {version('litellm')}" if path == find_file() else "litellm"
    except PackageNotFoundError:
        return "litellm"
