"""A price book: a YAML file of prices by model name, dated and with its sources.

version: mine                      # default: the file's name
effective: 2026-11-22              # the day the prices were looked up; optional
sources: {acme: https://...}       # where; optional
models:
  small-1: {source: acme, input: 0.25, cached_input: 0.025, output: 2}   # USD per million tokens
  large-1:                                                               # or several, in time
    - {input: 3, output: 15}
    - {since: 2027-01-01, input: 2, output: 10}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from gateway.config.checking import check
from gateway.config.draft import Book
from gateway.config.fields import Filled, filled
from gateway.config.models import Strict
from gateway.config.price_keys import FREE, EntryKeys, day
from gateway.config.pricing import read_price
from gateway.config.problems import ConfigError, Trail, nearest
from gateway.config.settings import PriceSettings
from gateway.config.text import Document, read, read_file
from gateway.core.money import Price

BUILTIN = Path(__file__).with_name("builtin.yaml")
ALWAYS = date.min
"""The first day of what has been in force for ever."""


@dataclass(frozen=True, slots=True)
class Dated:
    """A price, the first day (UTC) that it is in force, and where it was found."""

    since: date
    price: Price
    source: str = ""


Timeline = tuple[Dated, ...]
"""One model's prices, oldest first."""


def _url(value: object) -> str:
    if filled(value).startswith("https://"):
        return filled(value)
    raise ValueError("must be an https:// URL")


class _Book(Strict):
    version: Filled | None = None
    effective: Annotated[date | None, PlainValidator(day)] = None
    models: dict[str, Any]
    sources: dict[str, Annotated[str, PlainValidator(_url)]] = Field(default_factory=dict)


def today() -> date:
    """The day it is now, UTC."""
    return datetime.now(tz=UTC).date()


def open_book(settings: PriceSettings) -> Book:
    """Return every price in force by model name; a later file wins over an earlier one, and the
    user's own over the built-in book.

    Raises ConfigError when a file is wrong, OSError when it cannot be read.
    """
    return in_force([timelines for _, timelines in open_books(settings)], today())


def open_books(settings: PriceSettings) -> list[tuple[Path, dict[str, Timeline]]]:
    """Return each book's prices over time; a later one wins. Raises as `open_book` does."""
    files = [*([BUILTIN] if settings.book == "builtin" else []), *settings.files]
    return [(path, read_timelines(read_file(path), path.name)) for path in files]


def in_force(books: list[dict[str, Timeline]], on: date) -> Book:
    """Settle what holds on one day, and until when. A price of a later book wins from its first
    day on."""
    prices: dict[str, Price] = {}
    coming: dict[str, date] = {}
    for model, timeline in ((m, t) for book in books for m, t in book.items()):
        past = [each for each in timeline if each.since <= on]
        future = [each.since for each in timeline if each.since > on]
        if past:
            prices[model] = past[-1].price
        if future:
            coming[model] = min(future[0], coming.get(model, future[0]))
    until = min(coming.values(), default=None)
    midnight = None if until is None else datetime.combine(until, time(), tzinfo=UTC).timestamp()
    unpriced = {model: since for model, since in coming.items() if model not in prices}
    return Book(prices, midnight, unpriced)


def read_timelines(source: str | bytes, name: str) -> dict[str, Timeline]:
    """Read one book; `name` is its file's. Each price's version is `<version> <effective>`.

    Raises ConfigError.
    """
    document = read(source, name)
    book = check(document, _Book, ())
    version = f"{book.version or name} {book.effective or ''}".strip() if book else ""
    read_so_far = (
        {model: tuple(_timeline(document, book, model, version)) for model in book.models}
        if book
        else {}
    )
    if document.problems:
        raise ConfigError(document.problems)
    return read_so_far


def _timeline(document: Document, book: _Book, model: str, version: str) -> Iterator[Dated]:
    """Read one model's entry: a price, `free`, or a list of prices with their days."""
    given = book.models[model]
    trails: list[Trail] = [("models", model)]
    if isinstance(given, list):
        trails = [("models", model, place) for place in range(len(given))]
        if not given:
            document.problem(("models", model), "must have at least one price")
    if given == FREE:
        yield Dated(ALWAYS, Price().sealed(version))
        return
    entries = [(trail, check(document, EntryKeys, trail)) for trail in trails]
    found = [_dated(document, book, trail, entry, version) for trail, entry in entries if entry]
    for (before, after), trail in zip(pairwise(found), trails[1:], strict=False):
        if after.since <= before.since:
            document.problem((*trail, "since"), "must be later than that of the price before it")
    yield from found


def _dated(document: Document, book: _Book, trail: Trail, entry: EntryKeys, version: str) -> Dated:
    if entry.source is not None and entry.source not in book.sources:
        hint = nearest(entry.source, book.sources)
        document.problem((*trail, "source"), f"no source {entry.source!r}; {hint}")
    price = read_price(document, trail, entry).sealed(version)
    source = book.sources.get(entry.source or "", "")
    return Dated(entry.since or ALWAYS, price, source)


def read_book(source: str | bytes, name: str, on: date | None = None) -> Mapping[str, Price]:
    """Read one book's prices in force. Raises ConfigError."""
    return in_force([read_timelines(source, name)], on or today())
