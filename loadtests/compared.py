"""A comparison's figures: medians and spreads, ratios by repeat, the table, the picture."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from loadtests.prove import machine as this_machine

NGINX = "nginx proxy_pass"
HOP = "bare hop"
UPSTREAM = "the upstream itself"
_BEGIN, _END = "<!-- compare -->\n", "<!-- /compare -->"


@dataclass
class Figures:
    """One contender's: load -> a value for each repeat; `broken` says which it did not answer."""

    values: dict[str, list[float]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        """Add a repeat's value."""
        self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float | None:
        """The median over the repeats; None where it was not measured."""
        found = self.values.get(name)
        return statistics.median(found) if found else None

    def over(self, other: Figures, name: str) -> float | None:
        """The median of the ratios to `other`, repeat by repeat."""
        pairs = zip(self.values.get(name, ()), other.values.get(name, ()), strict=False)
        ratios = [mine / its for mine, its in pairs if its]
        return statistics.median(ratios) if ratios else None


@dataclass
class Compared:
    """A comparison. `machines` has each repeat's steal and load; `what` describes contenders."""

    found: Mapping[str, Figures]
    skipped: Mapping[str, str]
    machines: Sequence[Mapping[str, float]]
    what: Mapping[str, str]
    repeats: int

    def told(self) -> dict[str, Any]:
        """Write it as JSON."""
        return {
            "machine": this_machine(),
            "machines": list(self.machines),
            "skipped": dict(self.skipped),
            "values": {label: each.values for label, each in self.found.items()},
            "broken": {label: each.broken for label, each in self.found.items() if each.broken},
        }

    def against(self, label: str, base: str, name: str) -> float | None:
        """The median ratio of one contender to another; None where one of them is not there."""
        if label not in self.found or base not in self.found:
            return None
        return self.found[label].over(self.found[base], name)


def table(compared: Compared) -> str:
    """Write it in Markdown."""
    head = (
        "| | CPU µs a plain request | x nginx | x bare hop | one at a time: p50, p99 ms "
        "| CPU µs a stream | x nginx | first token ms |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for label, each in compared.found.items():
        alone = _both(each, "alone_p50", "alone_p99")
        cells = [
            f"**{label}**" if label.startswith("ours") else label,
            _spread(each, "plain"),
            _ratio(compared.against(label, NGINX, "plain")),
            _ratio(compared.against(label, HOP, "plain")),
            alone,
            _spread(each, "stream"),
            _ratio(compared.against(label, NGINX, "stream")),
            _first(each),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_notes(compared)])


def _notes(compared: Compared) -> list[str]:
    loads = [each["load_after"] for each in compared.machines]
    steals = [each["steal"] for each in compared.machines]
    told = [
        (
            f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC, {this_machine()}; {compared.repeats} "
            f"repeats in turns, medians with the least and the most; ratios are medians of each "
            f"repeat's own. Load average {min(loads):.1f} to {max(loads):.1f}, steal up to "
            f"{max(steals):.0%}."
        )
    ]
    told += [f"Left out: {name}: {why}." for name, why in compared.skipped.items()]
    told += [
        f"{label} did not answer the load `{load}`: {why}."
        for label, each in compared.found.items()
        for load, why in each.broken.items()
    ]
    return told


def _spread(each: Figures, name: str) -> str:
    found = each.values.get(name)
    if not found:
        return "-"
    return f"{statistics.median(found):,.0f} ({min(found):,.0f} to {max(found):,.0f})"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _both(each: Figures, first: str, second: str) -> str:
    one, two = each.median(first), each.median(second)
    return "-" if one is None or two is None else f"{one:.2f}, {two:.2f}"


def _first(each: Figures) -> str:
    value = each.median("first_first")
    return "-" if value is None else f"{value:,.0f}"


def page(text: str, compared: Compared) -> str:
    """Put the table between its markers. Raises ValueError when the page lacks them."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError("docs/performance.md has no markers for the comparison")
    return f"{before}{begin}\n{table(compared)}\n\n{end}{after}"


# ------------------------------------------------------------------ the picture

_ROW, _LEFT, _WIDE = 26, 330, 420


def picture_of(compared: Compared) -> str:
    """Draw CPU a plain request as bars on a logarithmic scale: SVG, without a library."""
    rows = [
        (label, value, label.startswith("ours"))
        for label, each in compared.found.items()
        if (value := each.median("plain")) is not None and label != UPSTREAM
    ]
    low = 10.0
    decades = math.log10(max(value for _, value, _ in rows) * 1.6 / low)
    tall = _ROW * len(rows) + 60
    drawn = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDE + 90} {tall}" '
            'font-family="system-ui, sans-serif" font-size="13">'
        ),
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="12" y="22" font-weight="600">CPU of a plain chat request, µs (log scale)</text>',
    ]
    for place, (label, value, ours) in enumerate(rows):
        y = 36 + place * _ROW
        long = _WIDE * math.log10(max(value, low * 1.05) / low) / decades
        colour = "#1668a7" if ours else "#9aa5b1"
        drawn += [
            f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{_LEFT}" y="{y + 2}" width="{long:.1f}" height="18" fill="{colour}"/>',
            f'<text x="{_LEFT + long + 6:.1f}" y="{y + 15}">{value:,.0f}</text>',
        ]
    loads = [each["load_after"] for each in compared.machines]
    told = f"median of {compared.repeats}; load average {min(loads):.1f} to {max(loads):.1f}"
    drawn += [f'<text x="{_LEFT}" y="{tall - 8}" fill="#52606d">{escape(told)}</text>', "</svg>"]
    return "\n".join(drawn) + "\n"
