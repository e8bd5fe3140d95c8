"""All books of a configuration at a glance, also where the configuration itself cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from gateway.config.problems import ConfigError, Problem
from gateway.config.settings import PriceSettings
from gateway.config.text import read, read_file
from gateway.core.money import Price
from gateway.prices.book import Dated, Timeline, in_force, open_books, today

STALE_DAYS = 90
"""Vendors change their prices several times a year."""
NOTHING = "costs nothing"


@dataclass(frozen=True, slots=True)
class Row:
    """One price of one model. `in_force` says that it is what a call costs today."""

    model: str
    dated: Dated
    in_force: bool

    def told(self) -> dict[str, Any]:
        """Return it as plain JSON values, rates in nano-dollars per million tokens."""
        since = None if self.dated.since == date.min else self.dated.since.isoformat()
        price = self.dated.price
        return {
            "model": self.model,
            "in_force": self.in_force,
            "since": since,
            "version": price.version,
            "hash": price.digest,
            "source": self.dated.source,
            "nano_usd_per_million": price.figures(),
        }


@dataclass(frozen=True, slots=True)
class Opened:
    """A book as it was read. `effective` is when its prices were looked up."""

    name: str
    timelines: Mapping[str, Timeline]
    effective: date | None

    @property
    def models(self) -> int:
        """How many models it knows."""
        return len(self.timelines)

    @property
    def version(self) -> str:
        """What it is called in records."""
        first = next(iter(self.timelines.values()), ())
        return first[0].price.version if first else "empty"


@dataclass(frozen=True, slots=True)
class Survey:
    """The books, a later one winning, and what the configuration's tiers ask of them: a model by
    each tier that has no price of its own."""

    books: tuple[Opened, ...]
    tiers: Mapping[str, str]
    day: date

    def in_force(self) -> dict[str, Price]:
        """Return what holds today."""
        return dict(in_force([dict(book.timelines) for book in self.books], self.day))

    @property
    def rows(self) -> Iterator[Row]:
        """Yield every price that there is, by model."""
        now = self.in_force()
        every = [
            (m, each) for book in self.books for m, line in book.timelines.items() for each in line
        ]
        for model, dated in sorted(every, key=lambda row: (row[0], row[1].since)):
            yield Row(model, dated, dated.price == now.get(model))

    def findings(self) -> list[str]:
        """Say what is stale, missing or odd."""
        now = self.in_force()
        sourced = {(row.model, row.dated.price) for row in self.rows if row.dated.source}
        told = [
            f"{book.name}: looked up on {book.effective}, over {STALE_DAYS} days ago"
            for book in self.books
            if book.effective and (self.day - book.effective).days > STALE_DAYS
        ]
        told += [
            f"tier {tier}: no price is known for {model}"
            for tier, model in self.tiers.items()
            if model not in now
        ]
        for model, price in now.items():
            told += [
                f"{model}: {odd}"
                for odd in oddities(price)
                if odd != NOTHING or (model, price) not in sourced  # its vendor says so
            ]
        return told


def oddities(price: Price) -> Iterator[str]:
    """Say what no vendor's price is like."""
    if not (price.input or price.output or price.request):
        yield NOTHING
    if price.cached_input is not None and price.cached_input > price.input:
        yield "reading from the cache is dearer than reading"
    under = price
    for above, band in price.bands:
        if band.input < under.input or band.output < under.output:
            yield f"prompts over {above} tokens are cheaper than shorter ones"
        under = band


def survey(config: Path, without: Path | None = None) -> Survey:
    """Open the books that a configuration names, or the built-in one where there is none.

    `without` is a file that is left out. Raises ConfigError.
    """
    document = _document(config)
    settings = _settings(document, config.parent)
    kept = tuple(path for path in settings.files if without is None or not _same(path, without))
    try:
        opened = open_books(replace(settings, files=kept))
    except OSError as error:
        problem = Problem(str(error.filename), "", f"cannot be read: {error.strerror}")
        raise ConfigError([problem]) from error
    books = tuple(Opened(path.name, lines, _effective(path)) for path, lines in opened)
    return Survey(books, _unpriced_tiers(document), today())


def models_of(config: Path) -> list[str]:
    """Name the models of a configuration's tiers, whatever else is wrong with it."""
    tiers = _document(config).get("tiers")
    entries = tiers.values() if isinstance(tiers, dict) else ()
    return sorted(
        {str(each["model"]) for each in entries if isinstance(each, dict) and each.get("model")}
    )


def _document(config: Path) -> dict[str, Any]:
    if not config.exists():
        return {}
    data = read(read_file(config), config.name).data
    return data if isinstance(data, dict) else {}


def _settings(document: Mapping[str, Any], folder: Path) -> PriceSettings:
    prices = document.get("prices")
    prices = prices if isinstance(prices, dict) else {}
    files = prices.get("file") or []
    names = files if isinstance(files, list) else [files]
    paths = tuple(folder / str(name) for name in names)
    return PriceSettings("none" if prices.get("book") == "none" else "builtin", paths)


def _unpriced_tiers(document: Mapping[str, Any]) -> dict[str, str]:
    tiers = document.get("tiers")
    entries = tiers.items() if isinstance(tiers, dict) else ()
    return {
        str(name): str(each.get("model"))
        for name, each in entries
        if isinstance(each, dict) and "price" not in each
    }


def _effective(path: Path) -> date | None:
    data = read(read_file(path), path.name).data
    effective = data.get("effective") if isinstance(data, dict) else None
    return date.fromisoformat(effective) if effective else None


def _same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()
