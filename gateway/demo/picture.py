"""The curves as a picture: in characters for the terminal, as SVG for whoever it is shown to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 62, 15
_SVG_WIDTH, _SVG_HEIGHT, _MARGIN = 760, 460, 60
_LEGEND = 380
_INK, _FAINT = "#1d2733", "#ced4da"
_RIGHT = 1.15
"""Cost, as a share of all-large's, at the right edge: judging everything can cost more than it."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of points (x, y), drawn with `sign` in a terminal and in `colour` elsewhere."""

    label: str
    sign: str
    colour: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point worth a name: `x` is cost as a share of all-large's, `y` accuracy, both 0..1."""

    x: float
    y: float
    letter: str
    label: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What part of the plane is shown: y from `low` to `high`, both on a mark of the axis."""

    low: float
    high: float

    def across(self, x: float) -> float:
        """Where x lies, 0..1 from the left."""
        return min(x / _RIGHT, 1.0)

    def up(self, y: float) -> float:
        """Where y lies, 0..1 from the bottom."""
        return (y - self.low) / (self.high - self.low)


def frame(curves: Sequence[Curve], marks: Sequence[Mark]) -> Frame:
    """Take in every point, out to the next 5 %."""
    ys = [y for curve in curves for _, y in curve.points] + [mark.y for mark in marks]
    return Frame(math.floor(min(ys) * 20) / 20, math.ceil(max(ys) * 20) / 20)


def in_characters(curves: Sequence[Curve], marks: Sequence[Mark]) -> str:
    """Draw for a terminal: a sign for each curve's points, a letter for each mark."""
    shown = frame(curves, marks)
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    dots = [(x, y, curve.sign) for curve in curves for x, y in curve.points]
    for x, y, sign in [*dots, *((mark.x, mark.y, mark.letter) for mark in marks)]:
        row = _HEIGHT - 1 - round(shown.up(y) * (_HEIGHT - 1))
        grid[row][round(shown.across(x) * (_WIDTH - 1))] = sign
    lines = []
    for place, cells in enumerate(grid):
        level = shown.high - (shown.high - shown.low) * place / (_HEIGHT - 1)
        tick = f"{level:5.0%} " if place % 7 == 0 else " " * 6
        lines.append(f"{tick} │{''.join(cells)}")
    lines.append(" " * 6 + " └" + "─" * _WIDTH)
    ticks = [" "] * (_WIDTH + 4)
    for x in range(0, 101, 25):
        at = round(shown.across(x / 100) * (_WIDTH - 1))
        ticks[at : at + 4] = f"{x}%".ljust(4)
    lines.append(" " * 8 + "".join(ticks).rstrip())
    lines.append(" " * 8 + "cost, as a share of all-large's".center(_WIDTH).rstrip())
    lines += [f"        {curve.sign}  {curve.label}" for curve in curves]
    lines += [f"        {mark.letter}  {mark.label}" for mark in marks]
    return "\n".join(lines)


def as_svg(title: str, curves: Sequence[Curve], marks: Sequence[Mark]) -> str:
    """Draw as SVG, self-contained."""
    shown = frame(curves, marks)

    def place(x: float, y: float) -> tuple[float, float]:
        across = _MARGIN + shown.across(x) * (_SVG_WIDTH - 2 * _MARGIN)
        return across, _SVG_HEIGHT - _MARGIN - shown.up(y) * (_SVG_HEIGHT - 2 * _MARGIN)

    size = f'width="{_SVG_WIDTH}" height="{_SVG_HEIGHT}"'
    font = 'font-family="system-ui, sans-serif" font-size="13"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
        f'<rect {size} fill="white"/>',
        _text(_SVG_WIDTH / 2, 28, title, size=16),
        *_axes(shown, place(0, shown.low), place(_RIGHT, shown.high)),
    ]
    for number, curve in enumerate(curves):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve.points))
        line = f'fill="none" stroke="{curve.colour}" stroke-width="2.5"'
        parts.append(f'<polyline points="{path}" {line}/>')
        key = _SVG_HEIGHT - _MARGIN - 44 + 20 * number
        parts.append(f'<path d="M{_LEGEND} {key - 4}h24" {line}/>')
        parts.append(_text(_LEGEND + 32, key, curve.label, anchor="start"))
    for mark in marks:
        x, y = place(mark.x, mark.y)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{_INK}"/>')
        parts.append(_text(*_beside(shown.across(mark.x), x, y), mark.label))
    return "\n".join([*parts, "</svg>\n"])


def _beside(across: float, x: float, y: float) -> tuple[float, float]:
    """Where a mark's label stands in the middle: clear of the edges, and mostly of the curves."""
    if across < 0.3:
        return x + 136, y + 5
    return (x, y - 16) if across < 0.7 else (x - 60, y + 24)


def _axes(shown: Frame, corner: tuple[float, float], far: tuple[float, float]) -> list[str]:
    (left, bottom), (right, top) = corner, far
    parts = [
        _text((left + right) / 2, _SVG_HEIGHT - 18, "cost, as a share of all-large's"),
        _text(16, top - 14, "answered right", anchor="start"),
    ]
    for level in range(round(shown.low * 100), round(shown.high * 100) + 1, 5):
        y = bottom - shown.up(level / 100) * (bottom - top)
        parts.append(f'<path d="M{left:.0f} {y:.1f}H{right:.0f}" stroke="{_FAINT}"/>')
        parts.append(_text(left - 8, y + 4, f"{level}%", anchor="end"))
    for cost in range(0, 101, 20):
        x = left + shown.across(cost / 100) * (right - left)
        parts.append(_text(x, bottom + 20, f"{cost}%"))
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 13) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{_INK}">{escape(text)}</text>'
    )
