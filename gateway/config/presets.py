"""Providers that are known by name: presets.yaml as frozen values, and what of it a model gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from gateway.config.text import read
from gateway.core.accepts import EVERYTHING, Accepts

_FILE = Path(__file__).with_name("presets.yaml")
BEARER = "authorization"
"""The header that a key goes in, after the word Bearer; in any other it goes alone."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Model names by what they are `like` and `unlike`, and what such models do not take."""

    like: tuple[str, ...]
    unlike: tuple[str, ...]
    accepts: Accepts

    def fits(self, model: str) -> bool:
        """Is this one of them? What stands before a slash is a vendor's name."""
        name = model.rpartition("/")[2]
        return any(fnmatchcase(name, one) for one in self.like) and not any(
            fnmatchcase(name, one) for one in self.unlike
        )


@dataclass(frozen=True, slots=True)
class Preset:
    """A provider. `base_url` is empty where everybody has an own one; `key` is the environment's
    variable, empty where none is needed; `header` is where the key goes; `pair` are two tiers to
    begin with, as a configuration has them."""

    name: str
    base_url: str = ""
    key: str = ""
    header: str = BEARER
    source: str = ""
    accepts: Accepts = EVERYTHING
    models: tuple[Pattern, ...] = field(default=())
    pair: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)

    def takes(self, model: str) -> Accepts:
        """Return what one of its models takes."""
        found = (each.accepts for each in self.models if each.fits(model))
        return merged([self.accepts, *found])


def merged(each: Iterable[Accepts]) -> Accepts:
    """Return what is taken where all of these hold. Of two names for one parameter the later wins;
    what is renamed is not dropped."""
    rename: dict[str, str] = {}
    drop: frozenset[str] = frozenset()
    refuse: frozenset[str] = frozenset()
    for one in each:
        rename |= one.rename
        drop |= one.drop
        refuse |= one.refuse
    return Accepts(drop.difference(rename), rename, refuse)


@cache
def presets() -> Mapping[str, Preset]:
    """Return every preset by its name."""
    data = read(_FILE.read_bytes(), _FILE.name).data
    return {name: _preset(name, entry) for name, entry in data.items()}


def _preset(name: str, entry: Mapping[str, Any]) -> Preset:
    return Preset(
        name=name,
        base_url=entry.get("base_url", ""),
        key=entry.get("key", ""),
        header=entry.get("header", BEARER),
        source=entry["source"],
        accepts=accepts(entry),
        pair=entry.get("pair", {}),
        models=tuple(
            Pattern(tuple(each["like"]), tuple(each.get("unlike", ())), accepts(each))
            for each in entry.get("models", ())
        ),
    )


def accepts(entry: Mapping[str, Any]) -> Accepts:
    """Read the three lists of an entry."""
    drop, refuse = entry.get("drop") or (), entry.get("refuse") or ()
    return Accepts(frozenset(drop), dict(entry.get("rename") or {}), frozenset(refuse))
