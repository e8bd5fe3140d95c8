"""The shape of a price, in a configuration and in a price file."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, PlainValidator

from gateway.config import quantities
from gateway.config.fields import Filled, Name, Tokens
from gateway.config.stream_keys import some_share
from gateway.config.strict import STRICT

FREE = "free"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FASTEST = 1_000_000_000
Dollars = Annotated[int | None, PlainValidator(quantities.usd)]


class _Keys(BaseModel):
    model_config = STRICT


def _per_second(value: object) -> tuple[Fraction, Fraction]:
    """One speed for every token, or one for those of prompts and one for those of replies."""
    if isinstance(value, dict) and set(value) == {"input", "output"}:
        return _speed(value["input"]), _speed(value["output"])
    one = _speed(value)
    return one, one


def _speed(value: object) -> Fraction:
    known = quantities.plain(value)
    if isinstance(known, int | float) and not isinstance(known, bool) and 0 < known <= _FASTEST:
        return Fraction(str(known))
    raise ValueError("must be a number of tokens a second, or {input: 20000, output: 2500}")


def day(value: object) -> date:
    """A day of the calendar."""
    if isinstance(value, str) and _DAY.fullmatch(value):
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise ValueError("must be a date such as 2026-11-22")


class RateKeys(_Keys):
    """US dollars per million tokens of each kind, and per request; all as elsewhere if unsaid."""

    input: Dollars = None
    output: Dollars = None
    cached_input: Dollars = None
    cache_write: Dollars = None
    cache_write_1h: Dollars = None
    reasoning: Dollars = None
    audio_input: Dollars = None
    audio_output: Dollars = None
    image_input: Dollars = None
    image_output: Dollars = None
    request: Dollars = None

    def rates(self) -> dict[str, Any]:
        """Return what is said, in nano-dollars."""
        said = {each: getattr(self, each) for each in RateKeys.model_fields}
        return {each: amount for each, amount in said.items() if amount is not None}


Bands = dict[Tokens, RateKeys]


class ServiceKeys(RateKeys):
    """The same for a tier of service, with its own bands."""

    above: Bands = {}


class HostedKeys(_Keys):
    """What a model of one's own costs: `gpu_hour` for all of it, idle replicas too."""

    gpu_hour: Annotated[int, PlainValidator(quantities.usd)]
    tokens_per_second: Annotated[tuple[Fraction, Fraction], PlainValidator(_per_second)]
    utilisation: Annotated[float, PlainValidator(some_share)]


class PriceKeys(ServiceKeys):
    """A price: `input` and `output`, or `hosted`, and what else is known."""

    services: dict[Name, ServiceKeys] = {}
    hosted: HostedKeys | None = None


class FreeKeys(PriceKeys):
    """What is meant to be counted as free."""


def _word(value: object) -> object:
    return FreeKeys(input=0, output=0) if value == FREE else value


Priced = Annotated[PriceKeys, BeforeValidator(_word)]
"""A mapping, or `free`."""


class EntryKeys(PriceKeys):
    """A price in a book; `since` is the first day, UTC, that it is in force."""

    source: Filled | None = None
    since: Annotated[date | None, PlainValidator(day)] = None
