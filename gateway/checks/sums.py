"""The sums that a text states (`12 * $3 = 36`), read and worked out.

A line is parted at its equality signs. What stands beside one counts as far as it is arithmetic and
nothing else: what a letter or an operator next to it makes a part of something that cannot be read
is left alone, since a part of a sum comes to something else. All is bounded and linear, since a
text may be hostile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

__all__ = ["sums"]

_MOST: Final = 20_000
"""Characters of a text that are read."""
_LONGEST: Final = 120
"""Characters of one side of an equality."""
_MARKS: Final = "0123456789.,$%()+-*/x "
_OPERATORS: Final = frozenset("+-*/x")
_TOKENS: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d{1,12})?|\d{0,20}\.\d{1,12}|\d{1,20}|\S")
_PLAIN: Final = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"(?m)^[ \t]{0,20}(?:[-*\u2022]|\d{1,3}[.)])[ \t]", ""),
        (r"(?m)(?:(?<=[\s(])|^)\*\*(?=\S)|(?<=\S)\*\*(?=[\s.,:;)]|$)", ""),
        (r"\\[dt]?frac\{([^{}]{1,30})\}\{([^{}]{1,30})\}", r"((\1)/(\2))"),
        (r"\\times|\\cdot|\u00d7|\\\*", "*"),
        (r"\\div|\u00f7", "/"),
        (r"\\approx|\u2248", "="),
        (r"\\[()\[\],;! ]|\\(?=[$%])|[\u20ac\u00a3$]|\\left|\\right", ""),
        (r"[\u2212\u2013]", "-"),
        (r"(?<=[\d%)]) of (?=\(?\d)", " * "),
    )
)
"""How sums are written, and how they are read: bullets, bold, LaTeX, money, `25% of 80`."""
_NOTED: Final = re.compile(r"<<([^<>=\n]{1,120})=([^<>=\n]{1,40})>>")
"""A sum in a note, such as `$<<6*6=36>>36`."""
_PART: Final = re.compile(r"[.,](?!\d)|(?<!\d),")
"""Where a sentence or a list goes on."""
_GOES_ON: Final = re.compile(
    r"[a-z_:^\\{]|(?: [a-z]{1,15}){1,3} ?[-+*/^]"
    r"| ?(?:k|m|bn|million|billion|thousand|hundred|dozen)\b",
    re.IGNORECASE,
)
"""What, after a number, makes it a part of a sum or another number."""
_SLACK: Final = Fraction(1, 100)
"""How far a result may be off, of itself, where there is something to be rounded."""
_HIGHEST: Final = Fraction(10) ** 30


@dataclass(frozen=True, slots=True)
class _Side:
    """What stands on one side of an equality sign: what it comes to, whether that is a sum, whether
    a result of it may have been rounded, and a unit of the last place of a single number."""

    value: Fraction
    is_sum: bool
    is_rough: bool
    is_percent: bool
    unit: Fraction


def sums(text: str) -> list[bool]:
    """Of each sum in a text that can be read: does it come out?"""
    text = text[:_MOST]
    sides = [(_side(noted[1]), _side(noted[2])) for noted in _NOTED.finditer(text)]
    text = _NOTED.sub("", text)
    for pattern, plain in _PLAIN:
        text = pattern.sub(plain, text)
    for line in text.splitlines():
        sides += [(_end(one), _start(other)) for one, other in pairwise(line.split("="))]
    found = [_comes_out(left, right) for left, right in sides if left and right]
    return [each for each in found if each is not None]


def _end(text: str) -> _Side | None:
    """Read what stands before an equality sign."""
    before = text.rstrip(_MARKS)
    *parted, found = _PART.split(text[len(before) :])
    if before and not parted and found[:1] != " " and before[-1] not in "(:\t\"'":
        return None  # the end of a word, of a function or of a formula
    found = found.strip(" ")
    if (before or parted) and found[:1] in _OPERATORS:
        return None
    while found.startswith("(") and found.count("(") > found.count(")"):
        found = found[1:].lstrip(" ")
    return _side(found)


def _start(text: str) -> _Side | None:
    """Read what stands after one."""
    marks = text[: len(text) - len(text.lstrip(_MARKS))].rstrip(" ")
    found, *parted = _PART.split(marks)
    if not parted and _GOES_ON.match(text, len(marks)):
        return None
    found = found.rstrip(" (")
    while found.endswith(")") and found.count(")") > found.count("("):
        found = found[:-1].rstrip(" ")
    return _side(found.strip(" "))


def _comes_out(left: _Side, right: _Side) -> bool | None:
    """Are both sides the same, as far as they say? None where neither is a sum."""
    if not left.is_sum and not right.is_sum:
        return None
    gap = abs(left.value - right.value)
    if left.is_percent != right.is_percent:
        gap = min(gap, abs(left.value - right.value * 100), abs(left.value * 100 - right.value))
    if not (left.is_rough or right.is_rough):
        return not gap
    return gap <= max(_SLACK * abs(right.value), left.unit / 2, right.unit / 2)


def _side(found: str) -> _Side | None:
    """Work out a side; None for what is no arithmetic."""
    if not 0 < len(found) <= _LONGEST:
        return None
    tokens = _TOKENS.findall(found.replace("x", "*"))
    try:
        value, at = _added(tokens, 0)
    except (IndexError, ValueError, ZeroDivisionError):
        return None
    if at < len(tokens) or abs(value) >= _HIGHEST:
        return None
    is_sum = any(each in _OPERATORS for each in tokens[1:])
    decimals = max((len(each.partition(".")[2]) for each in tokens), default=0)
    return _Side(
        value,
        is_sum,
        "/" in tokens or decimals > 0 or "%" in tokens,
        tokens[-1] == "%" and not is_sum,
        Fraction(0) if is_sum else Fraction(1, 10**decimals),
    )


def _added(tokens: list[str], at: int) -> tuple[Fraction, int]:
    total, at = _multiplied(tokens, at)
    while at < len(tokens) and tokens[at] in "+-":
        term, after = _multiplied(tokens, at + 1)
        total, at = (total + term if tokens[at] == "+" else total - term), after
    return total, at


def _multiplied(tokens: list[str], at: int) -> tuple[Fraction, int]:
    product, at = _single(tokens, at)
    while at < len(tokens) and tokens[at] in "*/":
        factor, after = _single(tokens, at + 1)
        product, at = (product * factor if tokens[at] == "*" else product / factor), after
        if abs(product) > _HIGHEST:
            raise ValueError("too large")
    return product, at


def _single(tokens: list[str], at: int) -> tuple[Fraction, int]:
    first = tokens[at]
    if first == "-":
        value, at = _single(tokens, at + 1)
        return -value, at
    if first == "(":
        value, at = _added(tokens, at + 1)
        if tokens[at] != ")":
            raise ValueError("unbalanced")
        at += 1
    else:
        value, at = Fraction(first.replace(",", "")), at + 1
    if at < len(tokens) and tokens[at] == "%":
        value, at = value / 100, at + 1
    return value, at
