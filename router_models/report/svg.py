"""Plots as SVG, drawn by hand: no library, no script, colours from the page's own style."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import floor, log10

from router_models.report.document import Line, Lines, Steps

_At = Callable[[float, float], str]
"""Where a point lies, as an SVG list of points has it."""
_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 16, 14, 40
_STEP_HEIGHT, _NAMES = 26, 190


def draw(plot: Steps | Lines) -> str:
    """Draw a plot; its title is its name for those who cannot see it."""
    return _steps(plot) if isinstance(plot, Steps) else _lines(plot)


def _frame(title: str, width: int, height: int, inside: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(inside)}</svg>"
    )


def _steps(plot: Steps) -> str:
    """Bars, one under another, each beginning where the last one ended."""
    ends = [end for _, *both in plot.steps for end in both]
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = (_WIDTH - _NAMES - 92) / ((high - low) or 1.0)
    parts = []
    digits = 2 if high >= 100 else 4
    for number, (name, begin, end) in enumerate(plot.steps):
        y = number * _STEP_HEIGHT
        x = _NAMES + (min(begin, end) - low) * scale
        width = max(1.5, abs(end - begin) * scale)
        whole = number in {0, len(plot.steps) - 1}
        kind = "whole" if whole else "less" if end < begin else "more"
        amount = end - begin
        sign = "" if whole else "+" if amount > 0 else "-" if amount < 0 else ""
        parts.append(
            f'<text x="{_NAMES - 10}" y="{y + 17}" class="name" text-anchor="end">{escape(name)}'
            f'</text><rect x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="18" rx="2" '
            f'class="{kind}"/><text x="{x + width + 6:.1f}" y="{y + 17}" class="value">'
            f"{sign}{_dollars(amount if whole else abs(amount), digits)}</text>"
        )
    return _frame(plot.title, _WIDTH, len(plot.steps) * _STEP_HEIGHT + 4, parts)


def _dollars(value: float, digits: int) -> str:
    text = f"{abs(value):,.{digits}f}"
    return f"{'-' if value < 0 else ''}${text}"


def _lines(plot: Lines) -> str:
    xs = [x for line in plot.lines for x, _ in line.points]
    heights = [y for line in plot.lines for _, y in line.points]
    heights += [y for line in plot.lines for y in (*line.low, *line.high)]
    low, high = min(0.0, *heights), max(0.0, *heights)
    if low == high:
        high = low + 1.0
    ticks = list(_ticks(low, high))
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    first, last = min(xs), max(xs)

    def at(x: float, y: float) -> str:
        across = _LEFT + (x - first) / ((last - first) or 1.0) * (_WIDTH - _LEFT - _RIGHT)
        up = _HEIGHT - _BOTTOM - (y - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
        return f"{across:.1f},{up:.1f}"

    parts = list(_axes(plot, ticks, first, last, at))
    for number, line in enumerate(plot.lines):
        parts += _line(line, number, at)
    return _frame(plot.title, _WIDTH, _HEIGHT + 18 * len(plot.lines) + 8, [*parts, *_legend(plot)])


def _line(line: Line, number: int, at: _At) -> Iterator[str]:
    if line.low:
        xs = [x for x, _ in line.points]
        up = [at(x, y) for x, y in zip(xs, line.high, strict=True)]
        down = [at(x, y) for x, y in zip(reversed(xs), reversed(line.low), strict=True)]
        yield f'<polygon points="{" ".join([*up, *down])}" class="band c{number}"/>'
    path = " ".join(at(x, y) for x, y in line.points)
    yield f'<polyline points="{path}" class="line c{number}"/>'


def _axes(plot: Lines, ticks: Sequence[float], first: float, last: float, at: _At) -> Iterator[str]:
    for tick in ticks:
        x, y = at(first, tick).split(",")
        end = at(last, tick).split(",")[0]
        kind = "zero" if tick == 0 else "grid"
        yield f'<line x1="{x}" y1="{y}" x2="{end}" y2="{y}" class="{kind}"/>'
        yield (
            f'<text x="{_LEFT - 8}" y="{float(y) + 4:.1f}" class="value" text-anchor="end">'
            f"{_height(tick, percent=plot.percent)}</text>"
        )
    base = _HEIGHT - _BOTTOM
    for tick in _ticks(first, last):
        if first <= tick <= last:
            x = at(tick, 0.0).split(",")[0]
            yield _text(x, base + 18, f"{tick:g}", "value", "middle")
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield _text(middle, base + 35, plot.across, "name", "middle")
    if plot.mark is not None:
        x = at(plot.mark[0], 0.0).split(",")[0]
        yield f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{base}" class="mark"/>'
        late = float(x) > 0.7 * _WIDTH
        place = float(x) + (-5 if late else 5)
        yield _text(place, _TOP + 10, plot.mark[1], "name", "end" if late else "start")


def _text(x: object, y: object, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend(plot: Lines) -> Iterator[str]:
    for number, line in enumerate(plot.lines):
        y = _HEIGHT + 18 * number + 16
        yield (
            f'<rect x="{_LEFT}" y="{y - 6}" width="16" height="4" class="key c{number}"/>'
            f'<text x="{_LEFT + 24}" y="{y}" class="name">{escape(line.name)}</text>'
        )


def _height(value: float, *, percent: bool) -> str:
    if percent:
        return f"{value:.0%}"
    size = abs(value)
    text = f"{size:,.0f}" if size >= 10 or not size else f"{size:.3g}"
    return f"{'-' if value < 0 else ''}${text}"


def _ticks(low: float, high: float) -> Iterator[float]:
    """Round numbers, about five, that hold both ends between them."""
    if high <= low:
        yield low
        return
    rough = (high - low) / 5
    power = 10.0 ** floor(log10(rough))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= rough * 0.999)
    number = floor(low / step + 1e-9)
    while number * step < high + step * (1 - 1e-9):
        yield round(number * step, 12)
        number += 1
