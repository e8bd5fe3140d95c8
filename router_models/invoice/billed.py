"""One line of a provider's bill, and how lines of several exports become one table."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from gateway.core.money import nano


class InvoiceError(ValueError):
    """An export that cannot be read; the message names the file, the line and what is wrong."""


@dataclass(frozen=True, slots=True)
class Billed:
    """What was billed of a model on a day (ISO date). `prompt` holds `cached` and `written`, the
    cache's reads and writes; tokens are None where the export does not say, `cost`, in
    nano-dollars, likewise."""

    day: str
    model: str
    prompt: int | None = None
    cached: int | None = None
    written: int | None = None
    output: int | None = None
    requests: int | None = None
    cost: int | None = None

    def __add__(self, other: Billed) -> Billed:
        """Sum what either says."""
        return Billed(
            self.day,
            self.model,
            prompt=_sum(self.prompt, other.prompt),
            cached=_sum(self.cached, other.cached),
            written=_sum(self.written, other.written),
            output=_sum(self.output, other.output),
            requests=_sum(self.requests, other.requests),
            cost=_sum(self.cost, other.cost),
        )


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


LARGEST = 10**15
"""Tokens, requests or US dollars of one line."""
_LONGEST = 64
_SMALLEST = -_LONGEST
_YEARS = range(2000, 2101)


def _number(text: object) -> Decimal | None:
    """Read a number that a line of a bill can have, quickly whatever it says; else None."""
    written = str(text).replace(",", "")
    if isinstance(text, bool) or len(written) > _LONGEST:
        return None
    try:
        number = Decimal(written)
    except InvalidOperation:
        return None
    if not number.is_finite() or number.copy_abs() > LARGEST:  # abs() itself would overflow
        return None
    return number if number.adjusted() >= _SMALLEST else Decimal(0)


def count(text: object, place: str) -> int | None:
    """Read a number of tokens or requests; None for nothing. `place` is the file, line and field.
    Raises InvoiceError."""
    if text is None or text == "":
        return None
    number = _number(text)
    if number is None or number < 0 or number != (whole := int(number)):
        raise InvoiceError(f"{place}: {_short(text)} is no count.")
    return whole


def money(text: object, place: str, parts: int = 1) -> int | None:
    """Read US dollars, or so many parts of one, as nano-dollars; None for nothing. Credits are
    negative. Raises InvoiceError."""
    if text is None or text == "":
        return None
    value = _number(text.removeprefix("$") if isinstance(text, str) else text)
    if value is None:
        raise InvoiceError(f"{place}: {_short(text)} is no amount.")
    return nano(value / parts)


def _short(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def day(text: object, place: str) -> str:
    """Read a day: a date, a moment with a zone (its UTC day), or a UNIX time. Raises
    InvoiceError."""
    written = str(text or "").strip()
    try:
        if re.fullmatch(r"\d{9,11}(\.\d+)?", written):
            found = datetime.fromtimestamp(float(written), UTC)
        else:
            found = datetime.fromisoformat(written)
        found = found.astimezone(UTC) if found.tzinfo else found
    except (ValueError, OverflowError):
        raise InvoiceError(f"{place}: {_short(written)} is no day.") from None
    if found.year not in _YEARS:
        raise InvoiceError(f"{place}: {_short(written)} is no day of a bill.")
    return found.date().isoformat()


def table(lines: Iterable[Billed]) -> dict[tuple[str, str], Billed]:
    """Add lines up by model and day."""
    found: dict[tuple[str, str], Billed] = {}
    for line in lines:
        key = (line.model, line.day)
        found[key] = found[key] + line if key in found else line
    return found


_DATE = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8})$|-latest$")


def _plain(name: str) -> str:
    """A model's name without its date and its provider, as an id has it: Claude Haiku 4.5 and
    anthropic/claude-haiku-4-5-20251001 are claude-haiku-4-5."""
    own = name.strip().lower().rpartition("/")[2]
    return re.sub(r"[ .]+", "-", _DATE.sub("", own))


def match(billed: str, recorded: Collection[str], same: Mapping[str, str]) -> str:
    """The name that the ledger has for a billed model: what `same` says, the name itself, or the
    one that is the same but for date, provider and case. The billed name where there is none, or
    several."""
    if billed in same:
        return same[billed]
    if billed in recorded:
        return billed
    alike = [name for name in recorded if _plain(name) == _plain(billed)]
    return alike[0] if len(alike) == 1 else billed
