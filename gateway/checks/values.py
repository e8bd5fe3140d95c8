"""Values that two answers are compared by: numbers, JSON, tokens of code, words; each in linear
time and from a bounded piece of text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final, NoReturn

_DIGITS: Final = 40
"""A number of more digits is a text."""
_LEAVES: Final = 2_000
"""JSON of more leaves is not compared."""
_NUMBER: Final = re.compile(
    r"(?<![\w.])(?P<sign>[-\u2212+]?)[$€£]?(?P<neg>-?)"
    r"(?:(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,40})(?P<part>\.\d{1,40})?|(?P<only>\.\d{1,40}))(?!\d)"
    r"(?:\s?/\s?(?P<under>\d{1,40}))?(?P<percent>\s?(?:%|\\%|percent\b))?"
)
_FRACTION: Final = re.compile(r"\\[dt]?frac\s?\{(-?\d{1,40})\}\s?\{(\d{1,40})\}")
_TOKEN: Final = re.compile(
    r"\"(?:[^\"\\\n]|\\.){0,200}\"|'(?:[^'\\\n]|\\.){0,200}'"
    r"|[^\W\d]\w*|\d[\w.]*|<>|[-+*/<>=!&|:]{1,3}|\S"
)
_HASHES: Final = re.compile(r"(?m)(?:^|(?<=\s))#[^\n]*")
_SLASHES: Final = re.compile(r"(?m)(?:^|(?<=\s))//[^\n]*")
_DASHES: Final = re.compile(r"(?m)(?:^|(?<=\s))--[^\n]*")
_WORD: Final = re.compile(r"\w+(?:[.'\u2019]\w+)*")
_ARTICLES: Final = frozenset({"a", "an", "the"})


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was written: `decimals` digits after the point, a fraction having none."""

    value: Fraction
    decimals: int | None = None
    percent: bool = False

    def equals(self, other: Number) -> bool:
        """Are they one number, the one with more digits rounded to the other's, and 50 % being
        0.5 as well as 50?"""
        if self._near(self.value, other.value, other):
            return True
        if self.percent == other.percent:
            return False
        mine = self.value / 100 if self.percent else self.value
        theirs = other.value / 100 if other.percent else other.value
        return mine == theirs

    def _near(self, mine: Fraction, theirs: Fraction, other: Number) -> bool:
        if mine == theirs:
            return True
        stated = [each for each in (self.decimals, other.decimals) if each is not None]
        # A whole number is not what 2.6 was rounded to: it is another answer.
        if not stated or min(stated) == 0:
            return False
        return abs(mine - theirs) <= Fraction(1, 2 * 10 ** min(stated))


def numbers(text: str) -> Iterator[Number]:
    """Yield the numbers in a text, in order; a LaTeX fraction is one."""
    plain = _FRACTION.sub(r" \1/\2 ", text)
    for found in _NUMBER.finditer(plain):
        number = _number(found)
        if number is not None:
            yield number


def as_number(text: str) -> Number | None:
    """Return the number that a short text states, None where it states none, or several."""
    found = list(numbers(text))
    return found[0] if len(found) == 1 else None


def _number(found: re.Match[str]) -> Number | None:
    whole, part = found["whole"] or "0", found["part"] or found["only"] or ""
    if len(whole) + len(part) > _DIGITS:
        return None
    value = Fraction(whole.replace(",", "") + part)
    if found["sign"] in {"-", "\u2212"} or found["neg"]:
        value = -value
    decimals: int | None = max(len(part) - 1, 0)
    if found["under"]:
        if not int(found["under"]):
            return None
        value, decimals = value / int(found["under"]), None
    return Number(value, decimals, bool(found["percent"]))


def parse_json(text: str) -> Any:
    """Parse JSON, whose texts may hold line ends as models write them. Raises ValueError for what
    is none, or nests too deep."""
    try:
        return json.loads(text, parse_constant=_no_constant, strict=False)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def json_agreement(one: Any, other: Any) -> float | None:
    """Return the share of the leaves of either that both have, at the same place and equal by
    value (1 is 1.0, keys in any order); None for more than can be compared."""
    left, right = _leaves(one), _leaves(other)
    if left is None or right is None:
        return None
    same = sum(1 for place, leaf in left.items() if place in right and right[place] == leaf)
    return same / len(left.keys() | right.keys())


def _leaves(value: Any) -> dict[tuple[str | int, ...], tuple[str, Any]] | None:
    leaves: dict[tuple[str | int, ...], tuple[str, Any]] = {}
    open_: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while open_:
        place, here = open_.pop()
        if isinstance(here, Mapping) and here:
            open_ += [((*place, key), inner) for key, inner in here.items()]
        elif isinstance(here, list) and here:
            open_ += [((*place, at), inner) for at, inner in enumerate(here)]
        else:
            leaves[place] = _leaf(here)
        if len(leaves) + len(open_) > _LEAVES or len(place) > 50:
            return None
    return leaves


def _leaf(value: Any) -> tuple[str, Any]:
    """Tell true from 1, and 1 not from 1.0; a text's spaces do not count."""
    if isinstance(value, str):
        return "text", " ".join(value.split())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", value
    return type(value).__name__, None if isinstance(value, list | Mapping) else value


def code_tokens(code: str, *, sql: bool = False) -> tuple[str, ...]:
    """Cut code into tokens: no comments, no blanks, one kind of quotes; SQL in one case, without
    its last semicolon."""
    bare = _without_blocks(code)
    bare = _DASHES.sub("", bare) if sql else _SLASHES.sub("", _HASHES.sub("", bare))
    tokens = [_token(each, sql=sql) for each in _TOKEN.findall(bare)]
    while sql and tokens and tokens[-1] == ";":
        tokens.pop()
    return tuple(tokens)


def _without_blocks(code: str) -> str:
    """Cut out /* ... */, by finding and not by a pattern: it is linear however many begin."""
    parts, at = [], 0
    while (start := code.find("/*", at)) >= 0 and (end := code.find("*/", start + 2)) >= 0:
        parts.append(code[at:start])
        at = end + 2
    return " ".join([*parts, code[at:]])


def _token(token: str, *, sql: bool) -> str:
    if len(token) > 1 and token[0] in "'\"" and token[-1] == token[0]:
        return f'"{token[1:-1]}"'
    if not sql:
        return token
    return token.casefold().replace("<>", "!=")


def token_agreement(one: Sequence[str], other: Sequence[str]) -> float:
    """Return 1 for the same tokens; else under 1, Dice's coefficient of their pairs."""
    if tuple(one) == tuple(other):
        return 1.0
    left, right = Counter(pairwise(one)), Counter(pairwise(other))
    shared = (left & right).total()
    return min(0.99, 2 * shared / max(left.total() + right.total(), 1))


def words_of(text: str) -> tuple[str, ...]:
    """Return a text's words: one case, no punctuation, no articles."""
    found = (word.casefold() for word in _WORD.findall(text))
    return tuple(word for word in found if word not in _ARTICLES)
