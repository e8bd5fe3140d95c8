"""The curve as a picture: in characters for the terminal, as SVG for whoever it is shown to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 62, 15
_SVG_WIDTH, _SVG_HEIGHT, _MARGIN = 760, 460, 70
_INK, _CURVE, _FAINT = "#1d2733", "#0b7285", "#ced4da"


@dataclass(frozen=True, slots=True)
class Mark:
    """A point worth a name: `x` is cost as a share of all-large's, `y` accuracy, both 0..1."""

    x: float
    y: float
    letter: str
    label: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What part of the plane is shown: x from 0 to `right`, y from `low` to `high`."""

    right: float
    low: float
    high: float

    def across(self, x: float) -> float:
        """Where x lies, 0..1 from the left."""
        return x / self.right

    def up(self, y: float) -> float:
        """Where y lies, 0..1 from the bottom."""
        return (y - self.low) / (self.high - self.low)


def frame(curve: Sequence[tuple[float, float]], marks: Sequence[Mark]) -> Frame:
    """Take in every point, with a little room."""
    xs = [x for x, _ in curve] + [mark.x for mark in marks]
    ys = [y for _, y in curve] + [mark.y for mark in marks]
    room = max(0.01, (max(ys) - min(ys)) * 0.08)
    return Frame(max(xs) * 1.06, max(0.0, min(ys) - room), min(1.0, max(ys) + room))


def in_characters(curve: Sequence[tuple[float, float]], marks: Sequence[Mark]) -> str:
    """Draw for a terminal: dots for the curve, letters for the marks."""
    shown = frame(curve, marks)
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    for x, y, sign in [*((x, y, "·") for x, y in curve), *((m.x, m.y, m.letter) for m in marks)]:
        row = _HEIGHT - 1 - round(shown.up(y) * (_HEIGHT - 1))
        grid[row][round(shown.across(x) * (_WIDTH - 1))] = sign
    lines = []
    for place, cells in enumerate(grid):
        level = shown.high - (shown.high - shown.low) * place / (_HEIGHT - 1)
        tick = f"{level:6.1%}" if place % 7 == 0 else " " * 6
        lines.append(f"{tick} │{''.join(cells)}")
    lines.append(" " * 6 + " └" + "─" * _WIDTH)
    left, right = "right / cost of all-large: 0 %", f"{shown.right:.0%}"
    lines.append(" " * 8 + left + right.rjust(_WIDTH - len(left)))
    lines += [f"        {mark.letter}  {mark.label}" for mark in marks]
    return "\n".join(lines)


def as_svg(title: str, curve: Sequence[tuple[float, float]], marks: Sequence[Mark]) -> str:
    """Draw as SVG, self-contained."""
    shown = frame(curve, marks)

    def place(x: float, y: float) -> tuple[float, float]:
        across = _MARGIN + shown.across(x) * (_SVG_WIDTH - 2 * _MARGIN)
        return across, _SVG_HEIGHT - _MARGIN - shown.up(y) * (_SVG_HEIGHT - 2 * _MARGIN)

    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve))
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SVG_WIDTH} {_SVG_HEIGHT}" '
            'font-family="system-ui, sans-serif" font-size="13">'
        ),
        f'<rect width="{_SVG_WIDTH}" height="{_SVG_HEIGHT}" fill="white"/>',
        _text(_SVG_WIDTH / 2, 28, title, size=16),
        *_axes(shown, place(0, shown.low), place(shown.right, shown.high)),
        f'<polyline points="{path}" fill="none" stroke="{_CURVE}" stroke-width="2.5"/>',
    ]
    for number, mark in enumerate(marks):
        x, y = place(mark.x, mark.y)
        anchor = "end" if shown.across(mark.x) > 0.6 else "start"
        shift = -12 if anchor == "end" else 12
        drop = 20 if number % 2 else -10
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{_INK}"/>')
        parts.append(_text(x + shift, y + drop, mark.label, anchor=anchor))
    return "\n".join([*parts, "</svg>\n"])


def _axes(shown: Frame, corner: tuple[float, float], far: tuple[float, float]) -> list[str]:
    (left, bottom), (right, top) = corner, far
    parts = [
        _text((left + right) / 2, _SVG_HEIGHT - 18, "cost, as a share of all-large's"),
        _text(16, top - 14, "answered right", anchor="start"),
    ]
    for step in range(6):
        share = step / 5
        y = bottom - share * (bottom - top)
        x = left + share * (right - left)
        parts.append(f'<path d="M{left:.0f} {y:.1f}H{right:.0f}" stroke="{_FAINT}"/>')
        level = shown.low + share * (shown.high - shown.low)
        parts.append(_text(left - 8, y + 4, f"{level:.0%}", anchor="end"))
        parts.append(_text(x, bottom + 20, f"{share * shown.right:.0%}"))
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 13) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{_INK}">{escape(text)}</text>'
    )
