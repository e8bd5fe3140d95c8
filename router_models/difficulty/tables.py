"""An evaluation for reading: tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

NAMES: Final = {
    "apgr": "APGR",
    "cpt50": "CPT50",
    "cpt80": "CPT80",
    "save95": "saved at 95 %",
    "save98": "saved at 98 %",
    "auroc": "AUROC",
    "ece": "ECE",
    "aiq": "AIQ",
}
MEANINGS: Final = {
    "apgr": "gap recovered, over all shares",
    "cpt50": "sent up for half of the gap",
    "cpt80": "sent up for 80 % of the gap",
    "save95": "at that share of the quality",
    "save98": "likewise",
    "auroc": "finds what the weak tier fails",
    "ece": "promised against kept",
    "aiq": "mean quality over costs",
}
_SHARES: Final = frozenset({"cpt50", "cpt80", "save95", "save98"})
_WIDE: Final = 100
"""Columns of a terminal that has room for what each figure means."""
BESIDE: Final = ("random", "length", "oracle")


def show(told: Mapping[str, Any], by: str | None, console: Console | None = None) -> None:
    """Print an evaluation."""
    out = console or Console(highlight=False)
    if not out.is_terminal:
        out.width = max(out.width, _WIDE)
    wide = out.width >= _WIDE
    out.print(Text(headline(told), style="bold"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "value", "95 %", *BESIDE, *(["what it is"] if wide else [])):
        right = name in {"value", *BESIDE}
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for name in NAMES:
        beside = (cell(name, told[other].get(name)) for other in BESIDE)
        figure = told[name]
        meaning = [MEANINGS[name]] if wide else []
        table.add_row(NAMES[name], cell(name, figure), interval(name, figure), *beside, *meaning)
    out.print(table)
    for line in remarks(told):
        out.print(Text(line))
    if by:
        out.print(_groups(told[f"by_{by}"], by))


def headline(told: Mapping[str, Any]) -> str:
    """What was judged, in a line."""
    weak, strong = (told[name]["value"] for name in ("weak_quality", "strong_quality"))
    first, last = told["tiers"][0], told["tiers"][-1]
    return f"{told['n']:,} rows; {first} {weak:.3f}, {last} {strong:.3f}; {told['how']['what']}"


def remarks(told: Mapping[str, Any]) -> list[str]:
    """What a reader should know of the figures."""
    lines = [f"Costs are {told['costs']}."]
    reasons: dict[str, list[str]] = {}
    for name in NAMES:
        for key in ("reason", "note"):
            if key in told[name]:
                reasons.setdefault(told[name][key], []).append(NAMES[name])
    lines += [f"{', '.join(names)}: {reason}." for reason, names in reasons.items()]
    apgr = told["apgr"]
    if apgr["low"] is not None and apgr["low"] <= told["random"]["apgr"]["value"]:
        lines.append(
            "Chance is inside APGR's interval: on these rows routing by prompt may be luck."
        )
    length = told["length"]["apgr"]["value"]
    if apgr["value"] is not None and length >= apgr["value"]:
        lines.append("Sorting by length alone does as well or better here.")
    point = told["operating"]
    recovered = point["pgr"]
    if recovered is not None:
        lines.append(
            f"Sending {point['share']:.0%} up: quality {point['quality']:.3f}, "
            f"{recovered:.0%} of the gap"
            + ("." if point["saved"] is None else f", {point['saved']:.0%} of the cost saved.")
        )
    return lines


def cell(name: str, figure: Mapping[str, Any] | None) -> str:
    """A figure's value."""
    if not figure or figure["value"] is None:
        return "-"
    return _number(name, figure["value"])


def interval(name: str, figure: Mapping[str, Any]) -> str:
    """A figure's interval."""
    if figure["low"] is None:
        return ""
    return f"{_number(name, figure['low'])} to {_number(name, figure['high'])}"


def _number(name: str, value: float) -> str:
    return f"{value:.1%}" if name in _SHARES else f"{value:.3f}"


def _groups(groups: Mapping[str, Any], by: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (by, "n", "weak", "strong", "APGR", "95 %", "CPT50", "CPT80", "AUROC", "ECE"):
        table.add_column(name, justify="left" if name == by else "right", no_wrap=True)
    for group, told in groups.items():
        table.add_row(
            group,
            f"{told['n']:,}",
            cell("", told["weak_quality"]),
            cell("", told["strong_quality"]),
            cell("apgr", told["apgr"]),
            interval("apgr", told["apgr"]),
            *(cell(name, told[name]) for name in ("cpt50", "cpt80", "auroc", "ece")),
        )
    return table
