"""A price book: a YAML file of prices by model name, dated and with its sources.

version: mine                      # default: the file's name
effective: 2026-11-22              # the day the prices were looked up; optional
sources: {acme: https://...}       # where; optional
models:
  small-1: {source: acme, input: 0.25, cached_input: 0.025, output: 2}   # USD per million tokens
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import Field, PlainValidator

from gateway.config.checking import check
from gateway.config.fields import Filled, filled
from gateway.config.models import PriceKeys, Strict
from gateway.config.problems import ConfigError, nearest
from gateway.config.settings import PriceSettings
from gateway.config.text import read, read_file
from gateway.core.money import Price

BUILTIN = Path(__file__).with_name("builtin.yaml")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _date(value: object) -> str:
    if isinstance(value, str) and _DATE.fullmatch(value):
        return value
    raise ValueError("must be a date such as 2026-11-22")


def _url(value: object) -> str:
    if filled(value).startswith("https://"):
        return filled(value)
    raise ValueError("must be an https:// URL")


class _Entry(PriceKeys):
    source: Filled | None = None


class _Book(Strict):
    version: Filled | None = None
    effective: Annotated[str | None, PlainValidator(_date)] = None
    models: dict[str, _Entry]
    sources: dict[str, Annotated[str, PlainValidator(_url)]] = Field(default_factory=dict)


def open_book(settings: PriceSettings) -> Mapping[str, Price]:
    """Return every known price by model name; the user's own file wins over the built-in book.

    Raises ConfigError when a file is wrong, OSError when it cannot be read.
    """
    files = [BUILTIN] if settings.book == "builtin" else []
    if settings.file is not None:
        files.append(settings.file)
    books = [read_book(read_file(path), path.name) for path in files]
    return MappingProxyType({name: price for book in books for name, price in book.items()})


def read_book(source: str | bytes, name: str) -> dict[str, Price]:
    """Read one book; `name` is its file's. Each price's version is `<version> <effective>`.

    Raises ConfigError.
    """
    document = read(source, name)
    book = check(document, _Book, ())
    for model, entry in book.models.items() if book else ():
        if book and entry.source is not None and entry.source not in book.sources:
            hint = nearest(entry.source, book.sources)
            document.problem(("models", model, "source"), f"no source {entry.source!r}; {hint}")
    if book is None or document.problems:
        raise ConfigError(document.problems)
    version = f"{book.version or name} {book.effective or ''}".strip()
    return {model: _price(entry, version) for model, entry in book.models.items()}


def _price(entry: _Entry, version: str) -> Price:
    return Price(
        input=entry.input,
        output=entry.output,
        cached_input=entry.cached_input,
        cache_write=entry.cache_write,
        request=entry.request,
        version=version,
    )
