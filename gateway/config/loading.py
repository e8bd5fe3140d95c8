"""From a file or text to Settings: read, check each section, check across them, freeze."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway.config import checks, ladder, limiting, passing, policy, provider, serving, together
from gateway.config.checking import check
from gateway.config.draft import Draft, OpenBook
from gateway.config.models import Root
from gateway.config.problems import ConfigError, Problem
from gateway.config.settings import Settings
from gateway.config.text import read, read_file

_DIGEST_LENGTH = 12


def load(path: Path, environ: Mapping[str, str], open_book: OpenBook) -> Settings:
    """Load a configuration file and the files it names.

    `environ` is what `${NAME}` refers to; `open_book` turns the `prices` section into prices by
    model name. Raises ConfigError with everything that is wrong.
    """
    try:
        source, mode = read_file(path), path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: no path at all
        told = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigError([Problem(path.name, "", f"cannot be read: {told}")]) from None
    draft = _draft(source, path.name, environ, open_book, path.parent)
    draft.files.append(path)
    if mode & stat.S_IROTH:
        serving.warn_of_open_file(draft)
    return _settings(draft)


def parse(
    text: str | bytes,
    name: str,
    environ: Mapping[str, str],
    open_book: OpenBook,
    folder: Path = Path(),
) -> Settings:
    """Do the same for a text called `name`, with relative paths starting from `folder`."""
    return _settings(_draft(text, name, environ, open_book, folder))


def _draft(
    source: str | bytes,
    name: str,
    environ: Mapping[str, str],
    open_book: OpenBook,
    folder: Path,
) -> Draft:
    return Draft(read(source, name, environ), environ, folder, open_book)


def _settings(draft: Draft) -> Settings:
    check(draft.document, Root, ())
    if not isinstance(draft.document.data, dict):
        draft.finish()
    server, ledger = serving.server(draft), serving.ledger(draft)
    otlp, shared = serving.telemetry(draft), limiting.shared(draft)
    key_store = serving.key_store(draft)
    upstreams = ladder.upstreams(draft)
    price_settings, book = ladder.prices(draft)
    tiers = ladder.tiers(draft, draft.names("upstreams"), book, upstreams)
    tiers = provider.with_accepts(tiers, upstreams)
    defined = checks.checks(draft, tiers)
    tiers = checks.with_checks(draft, tiers, defined)
    routes = policy.routes(draft, tiers, book)
    aliases = policy.aliases(draft, routes)
    keys = policy.keys(draft)
    passed = passing.passthrough(draft, upstreams, book)
    together.refuse(draft, upstreams, tiers, routes, defined, keys)
    draft.finish()
    if server is None or ledger is None or shared is None:
        raise AssertionError("a section was refused without a problem")
    settings = Settings(
        server=server,
        upstreams=MappingProxyType(upstreams),
        tiers=MappingProxyType(tiers),
        routes=MappingProxyType(routes),
        aliases=MappingProxyType(aliases),
        keys=keys,
        prices=price_settings,
        ledger=ledger,
        checks=MappingProxyType(defined),
        otlp=otlp,
        shared=shared,
        key_store=key_store,
        passthrough=passed,
        warnings=tuple(draft.warnings),
        files=tuple(dict.fromkeys(draft.files)),
        prices_until=book.until if book else None,
    )
    return with_digest(settings)


def with_digest(settings: Settings) -> Settings:
    """Put the digest in that goes with what the settings say."""
    return replace(settings, digest=_digest(settings))


def _digest(settings: Settings) -> str:
    """Hash everything that is in force: defaults and recipes too, secrets and notes not."""
    named = {each.name: getattr(settings, each.name) for each in fields(settings)}
    in_force = {
        k: v for k, v in named.items() if k not in {"digest", "warnings", "files", "prices_until"}
    }
    text = json.dumps(_plain(in_force), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


def _plain(value: Any) -> Any:
    """Turn frozen values into JSON; a field that is not for printing is not for hashing."""
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value) if each.repr}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
