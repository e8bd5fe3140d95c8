"""A price file made of somebody else's prices: what would change in it, and how it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from gateway.config.text import read, read_file
from gateway.core.money import Price
from gateway.prices.book import Timeline, read_timelines
from gateway.prices.from_litellm import Found, Said, matches

HEADER = "# Written by `waterfall prices import`. Your own prices belong into a file of their own."
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./+-]*")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")

Kind = Literal["new", "changed", "same", "gone", "later"]


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one model: its price before and after, where it has one. A price that is
    `later` was there and stays; it takes over on the day `since`."""

    model: str
    kind: Kind
    before: Price | None
    after: Price | None
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A price file as it would be."""

    text: str
    changes: tuple[Change, ...]

    @property
    def differs(self) -> bool:
        """Is there anything to write?"""
        return any(change.kind in {"new", "changed"} for change in self.changes)


class NotOurs(ValueError):
    """The file that is to be written is somebody's own."""


def merge(path: Path, found: Found, since: date) -> Draft:
    """Draft the price file at `path` with what was found: a new model's price holds from the first
    day on, a changed one's from `since` on; what was not found is kept, and so is what is to hold
    from a later day on.

    Raises NotOurs for a file that was not written by an import, ConfigError for one that is
    broken, OSError for one that cannot be read.
    """
    document = _before(path)
    names = {url: name for name, url in document.get("sources", {}).items()}
    old = _timelines(document)
    changes, models = [], dict(document.get("models", {}))
    for model, said in found.prices.items():
        entry = {**said, "source": names.setdefault(said["source"], _named(said["source"], names))}
        after = _timelines(_book(found.version, since, names, {model: entry}))[model][-1].price
        before = _at(old.get(model), since)
        kind: Kind = "new" if before is None else "same"
        if before is not None and before.digest != after.digest:
            kind = "changed"
        changes.append(Change(model, kind, before, after))
        if kind != "same":
            models[model] = _dated(models.get(model), entry, since)
        changes += _later(model, old.get(model), since)
    gone = sorted(m for m in set(old) - set(found.prices) if matches(m, found.patterns))
    changes += [Change(model, "gone", _at(old[model], since), None) for model in gone]
    book = _book(found.version, since, names, models)
    text = render(book)
    read_timelines(text, path.name)  # what cannot be read back is not written
    return Draft(text, tuple(changes))


def render(book: Mapping[str, Any]) -> str:
    """Write a price file."""
    lines = [HEADER, f"version: {book['version']}", f"effective: {book['effective']}", "sources:"]
    lines += [f"  {name}: {json.dumps(url)}" for name, url in sorted(book["sources"].items())]
    lines.append("models:")
    for model, given in sorted(book["models"].items()):
        if isinstance(given, list):
            lines.append(f"  {_text(model)}:")
            lines += [f"    - {_flow(each)}" for each in given]
        else:
            lines.append(f"  {_text(model)}: {_flow(given)}")
    return "\n".join(lines) + "\n"


def _before(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    source = read_file(path)
    if not source.startswith(HEADER.encode()):
        raise NotOurs(f"{path} was not written by an import: name another file with --to.")
    read_timelines(source, path.name)
    data: dict[str, Any] = read(source, path.name).data
    return data


def _timelines(document: Mapping[str, Any]) -> dict[str, Timeline]:
    return read_timelines(render(document), "prices") if document.get("models") else {}


def _book(
    version: str, effective: date, names: Mapping[str, str], models: Mapping[str, Any]
) -> dict[str, Any]:
    used = {each["source"] for given in models.values() for each in _entries(given)}
    sources = {name: url for url, name in names.items() if name in used}
    return {"version": version, "effective": effective, "sources": sources, "models": models}


def _entries(given: Any) -> list[Said]:
    return given if isinstance(given, list) else [given]


def _dated(given: Any, entry: Said, since: date) -> Any:
    """Put a price among those that there are; one that would begin on the same day gives way."""
    own, day = _entries(given) if given else [], since.isoformat()
    before = [each for each in own if str(each.get("since", "")) < day]
    later = [each for each in own if str(each.get("since", "")) > day]
    new = {"since": day, **entry} if before else entry
    return [*before, new, *later] if before or later else new


def _later(model: str, timeline: Timeline | None, since: date) -> list[Change]:
    """Name the prices that take over after a day."""
    steps = pairwise([None, *timeline]) if timeline else ()
    return [
        Change(model, "later", before.price if before else None, after.price, after.since)
        for before, after in steps
        if after is not None and after.since > since
    ]


def _at(timeline: Timeline | None, on: date) -> Price | None:
    past = [each.price for each in timeline or () if each.since <= on]
    return past[-1] if past else None


def _named(url: str, names: Mapping[str, str]) -> str:
    """Call a source by its host, and by a number where that is taken."""
    host = re.sub(r"[^a-z0-9]+", "-", (urlsplit(url).hostname or "source").lower()).strip("-")
    taken = set(names.values())
    others = (f"{host}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (host, *others) if name not in taken)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_text(str(k))}: {_flow(v)}' for k, v in value.items())}}}"
    text = format(Decimal(str(value)), "f") if isinstance(value, float) else str(value)
    return text if _NUMBER.fullmatch(text) else _text(text)


def _text(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
