"""Durations, sizes, token counts, shares and dollars, as people write them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal

from gateway.config.environment import Expanded
from gateway.config.text import scalar
from gateway.core.money import TOKEN_CAP, nano

DAY = 86_400.0
LONGEST_RETENTION = 3650 * 86_400
SIZE_CAP = 1 << 30
DOLLAR_CAP = 1_000_000

_WRITTEN = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([A-Za-z%]*)")
_SECONDS = {"": "1", "ms": "0.001", "s": "1", "m": "60", "h": "3600", "d": "86400"}
_BYTES = {
    "": "1",
    "B": "1",
    "KB": "1000",
    "MB": "1000000",
    "GB": "1000000000",
    "KiB": "1024",
    "MiB": "1048576",
    "GiB": "1073741824",
}
_TOKENS = {"": "1", "k": "1000", "K": "1000", "M": "1000000"}
_SHARES = {"": "1", "%": "0.01"}


def plain(value: object) -> object:
    """Read what the environment gave as YAML would have read it; leave the rest as it is."""
    return scalar(str(value)) if isinstance(value, Expanded) else value


def seconds(value: object, *, least: float = 0.001, most: float = DAY) -> float:
    """Read a duration: `500ms`, `2s`, `10m`, `1h`, or a number of seconds."""
    amount = _amount(value, _SECONDS)
    if amount is None or not Decimal(str(least)) <= amount <= Decimal(str(most)):
        low = "0s" if least == 0 else f"{round(least * 1000)}ms"
        raise ValueError(f"must be a duration such as 500ms, 2s or 10m, from {low} to {most:g}s")
    return float(amount)


def number(value: object, least: float, most: float) -> float:
    """Read a plain number from `least` to `most`."""
    known = plain(value)
    if isinstance(known, int | float) and not isinstance(known, bool) and least <= known <= most:
        return float(known)
    raise ValueError(f"must be a number from {least:g} to {most:g}")


def kept_for(value: object) -> float:
    """Read for how long something is kept: `12h`, `30d`, or a number of seconds."""
    amount = _amount(value, _SECONDS)
    if amount is None or not 60 <= amount <= LONGEST_RETENTION:
        raise ValueError("must be a duration such as 12h or 30d, from 1m to 3650d")
    return float(amount)


def kept_or_off(value: object) -> float | None:
    """The same, or off: for ever."""
    if value is False or value == "off":
        return None
    try:
        return kept_for(value)
    except ValueError as error:
        raise ValueError(f"{error}, or off") from error


def size(value: object, *, most: int = SIZE_CAP) -> int:
    """Read a number of bytes: `10MB`, `64KiB`, or a plain number."""
    amount = _amount(value, _BYTES)
    if amount is None or not 1 <= amount <= most:
        raise ValueError(f"must be a size such as 10MB or 64KiB, up to {most >> 30}GiB")
    return int(amount)


def tokens(value: object) -> int:
    """Read a number of tokens: `400k`, `1M`, or a plain number."""
    amount = _amount(value, _TOKENS)
    if amount is None or not 1 <= amount <= TOKEN_CAP or amount != int(amount):
        raise ValueError("must be a number of tokens such as 8192, 400k or 1M")
    return int(amount)


def share(value: object) -> float:
    """Read a share: 0 to 1, or `0%` to `100%`."""
    amount = _amount(value, _SHARES)
    if amount is None or amount > 1:
        raise ValueError("must be a share from 0 to 1, or a percentage such as 10%")
    return float(amount)


def usd(value: object) -> int:
    """Read dollars into nano-dollars."""
    amount = _amount(value, {"": "1"})
    if amount is None or amount > DOLLAR_CAP:
        raise ValueError("must be an amount in US dollars, such as 0.25")
    return nano(amount)


def _amount(value: object, units: Mapping[str, str]) -> Decimal | None:
    """Return the amount in the base unit, None when it is no such quantity or a negative one."""
    known = plain(value)
    if isinstance(known, bool):
        return None
    if isinstance(known, int | float):
        return Decimal(str(known)) if math.isfinite(known) and known >= 0 else None
    match = _WRITTEN.fullmatch(known) if isinstance(known, str) else None
    if match is None or match.group(2) not in units:
        return None
    return Decimal(match.group(1)) * Decimal(units[match.group(2)])
