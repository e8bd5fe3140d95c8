"""Facts of a reply that say a little of whether it is good, for nothing: do its sums come out, and
how long did it become? A fitted combiner makes a confidence of them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from gateway.core.chat import ChatRequest, Reply
from gateway.core.verdict import ABSTAIN, Finding

_LONG: Final = 800
"""Characters at which brevity is a half."""
_MOST: Final = 20_000
"""Characters of a reply that are read."""
_SUMS: Final = re.compile(
    r"(?<![\w.,(+*/x^=-])(?P<left>[($]{0,3}\d[\d.,$%() +*/x\u00d7\u00f7-]{1,80})=[ $]{0,3}"
    r"(?:<<[^<>\n]{1,80}>>)?[ $]{0,3}(?P<right>-?\d[\d,]{0,20}(?:\.\d{1,12})?)(?![\d.]*[\d%/*x^])"
)
_TOKENS: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d{1,12})?|\d{1,20}(?:\.\d{1,12})?|[-+*/()]")
_SLACK: Final = Fraction(1, 100)
"""How far a result may be off, of itself: it is rounded."""
_HIGHEST: Final = Fraction(10) ** 30


def arithmetic(request: ChatRequest, reply: Reply) -> Finding:
    """Work out the sums that a reply states (`12 * 3 = 36`); its confidence is the share of them
    that come out. Abstains where there are none."""
    del request
    if not reply.complete:
        return ABSTAIN
    found = [right for choice in reply.choices for right in _sums(choice.text[:_MOST])]
    return Finding("pass", confidence=sum(found) / len(found)) if found else ABSTAIN


def brevity(request: ChatRequest, reply: Reply) -> Finding:
    """Say how short a reply is, from 1 for nothing at all to 0. What goes on for long is often
    lost; how often, a combiner must know: by itself this is no confidence."""
    del request
    if not reply.complete or not reply.choices:
        return ABSTAIN
    longest = max(len(choice.text) for choice in reply.choices)
    return Finding("pass", confidence=_LONG / (_LONG + longest))


def _sums(text: str) -> list[bool]:
    """Of each sum with an operation in it that can be read: does it come out?"""
    found = []
    for stated in _SUMS.finditer(text):
        plain = stated["left"].replace("\u00d7", "*").replace("\u00f7", "/").replace("x", "*")
        result = _worked_out(plain.replace("$", ""))
        if result is not None:
            right = Fraction(stated["right"].replace(",", ""))
            found.append(abs(result - right) <= max(_SLACK, _SLACK * abs(right)))
    return found


def _worked_out(sum_: str) -> Fraction | None:
    """Return what a sum comes to; None for what is none."""
    tokens = _TOKENS.findall(sum_)
    if "".join(tokens) != sum_.replace(" ", "") or not any(each in "+-*/" for each in tokens[1:]):
        return None
    try:
        result, at = _added(tokens, 0)
    except (IndexError, ValueError, ZeroDivisionError):
        return None
    return result if at == len(tokens) and abs(result) < _HIGHEST else None


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
        return value, at + 1
    return Fraction(first.replace(",", "")), at + 1
