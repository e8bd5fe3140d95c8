"""A report as titles, sentences, tables and plots: what every way of showing it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.money import NANO

Tone = Literal["good", "bad", "open"]


@dataclass(frozen=True, slots=True)
class Table:
    """`align` has an l or r for each column; `bars` are for each row the part of a line, from and
    to, 0..1, that shows the row's place among the others (none: no bars)."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    align: str
    bars: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True)
class Steps:
    """A bill as a chart: each step's name, where it begins, where it ends, in dollars."""

    title: str
    steps: Sequence[tuple[str, float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points; with `low` and `high` it has a band about it."""

    name: str
    points: Sequence[tuple[float, float]]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines over one axis. `percent` says that heights are shares, 0..1, else they are dollars;
    `mark` is an x that is pointed out, with its name."""

    title: str
    across: str
    lines: Sequence[Line]
    percent: bool = False
    mark: tuple[float, str] | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report; `items` is a list, after the text."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Steps | Lines] = ()
    items: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report: what it is of, its verdict in a sentence or two, and how that sounds."""

    title: str
    about: str
    verdict: str
    tone: Tone
    sections: Sequence[Section] = field(default_factory=tuple)


def digits_for(amounts: Iterable[float]) -> int:
    """How many digits a column of nano-dollars is to have: cents, where there is $100 in it, else
    hundredths of a cent."""
    return 2 if max((abs(each) for each in amounts), default=0.0) >= 100 * NANO else 4


def usd(nano: float, digits: int | None = None) -> str:
    """Write nano-dollars; with as many digits as are wanted, else as `digits_for` has it."""
    value = nano / NANO
    wanted = digits_for([nano]) if digits is None else digits
    text = f"{abs(value):,.{wanted}f}"
    return f"{'-' if value < 0 and float(text.replace(',', '')) else ''}${text}"


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share, 0..1."""
    if value is None:
        return "unknown"
    text = f"{value:.{digits}%}"
    return text.removeprefix("-") if not float(text.rstrip("%")) else text


def points(value: float) -> str:
    """Write a difference of shares in points."""
    return f"{value * 100:+.1f}"
