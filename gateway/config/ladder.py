"""The sections about models: upstreams, prices, tiers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from gateway.config.bar import read_bar
from gateway.config.checking import at, check, section
from gateway.config.connection_keys import connecting
from gateway.config.deployments import check_names, resilience, wire_of
from gateway.config.draft import Book, Draft
from gateway.config.fields import base_url, is_loopback, name
from gateway.config.limiting import read_limits
from gateway.config.models import (
    OpenAIUpstream,
    ParameterKeys,
    PriceBookKeys,
    SimulatedUpstream,
    TierKeys,
    TimeoutKeys,
)
from gateway.config.price_keys import FreeKeys, PriceKeys
from gateway.config.pricing import is_free, read_price
from gateway.config.problems import ConfigError, Trail, nearest
from gateway.config.provider import key_of, preset_of, url_of
from gateway.config.recipe_file import load_recipe
from gateway.config.settings import (
    PriceSettings,
    SimulatedSettings,
    Timeouts,
    UpstreamSettings,
)
from gateway.config.stream_keys import HedgeKeys
from gateway.config.upstream_keys import AnthropicUpstream, LitellmUpstream
from gateway.core.accepts import Accepts
from gateway.core.cascade import Hold, Tier
from gateway.core.money import UNPRICED, Price
from gateway.core.plan import SEVERAL, Hedge
from gateway.core.recipes import Recipe
from gateway.core.scorer_spec import SCORER_TIER

RESERVED = ("other", "none", "cache", "passthrough", SCORER_TIER)
"""What metrics and records say where there is no route or tier of the configuration's."""
_KINDS: dict[
    str, type[AnthropicUpstream | LitellmUpstream | OpenAIUpstream | SimulatedUpstream]
] = {
    "openai": OpenAIUpstream,
    "anthropic": AnthropicUpstream,
    "litellm": LitellmUpstream,
    "simulated": SimulatedUpstream,
}


def entries(draft: Draft, kind: str) -> list[str]:
    """Name a required section's entries; a section without any is a problem."""
    found = at(draft.document, (kind,))
    if not isinstance(found, dict) or not found:
        draft.complain((kind,), "must be a mapping with at least one entry", found)
        return []
    for entry in found:
        try:
            name(entry)
        except ValueError as error:
            draft.complain((kind, entry), f"a name {error}")
        if kind in {"tiers", "routes"} and str(entry).partition("/")[0] in RESERVED:
            draft.complain(
                (kind, entry), "is reserved: metrics and records use it for none of them"
            )
    return list(found)


# ------------------------------------------------------------------ upstreams


def upstreams(draft: Draft) -> dict[str, UpstreamSettings]:
    """Read `upstreams`."""
    read = {entry: _upstream(draft, entry) for entry in entries(draft, "upstreams")}
    return {entry: settings for entry, settings in read.items() if settings}


def _upstream(draft: Draft, entry: str) -> UpstreamSettings | None:
    trail = ("upstreams", entry)
    found = at(draft.document, trail)
    kind = found.get("kind", "openai") if isinstance(found, dict) else "openai"
    if kind not in tuple(_KINDS):
        draft.complain((*trail, "kind"), f"must be {' or '.join(_KINDS)}", kind)
        return None
    keys = check(draft.document, _KINDS[kind], trail)
    if isinstance(keys, SimulatedUpstream):
        return _simulated(draft, entry, keys)
    if keys is None:
        return None
    if isinstance(keys, AnthropicUpstream):
        return UpstreamSettings(
            name=entry,
            kind="anthropic",
            base_url=_base_url(draft, entry, keys.base_url),
            api_key=keys.api_key,
            timeouts=_timeouts(keys.timeouts),
            key_header="x-api-key",
            parameters=_parameters(keys.parameters),
            resilience=resilience(draft, entry, keys),
            **connecting(draft, entry, keys, keys.base_url),
        )
    if isinstance(keys, LitellmUpstream):
        for word in {"connect", "silence"} & keys.timeouts.model_fields_set:
            told = "means nothing where the connections are litellm's own; remove it"
            draft.complain((*trail, "timeouts", word), told)
        return UpstreamSettings(
            name=entry,
            kind="litellm",
            base_url=_base_url(draft, entry, keys.base_url) if keys.base_url else "",
            api_key=keys.api_key,
            timeouts=_timeouts(keys.timeouts),
            parameters=_parameters(keys.parameters),
            resilience=resilience(draft, entry, keys),
        )
    return _openai(draft, entry, keys)


def _openai(draft: Draft, entry: str, keys: OpenAIUpstream) -> UpstreamSettings:
    preset = preset_of(draft, entry, keys)
    url = url_of(draft, entry, keys, preset)
    api_key, header = key_of(draft, entry, keys, preset)
    return UpstreamSettings(
        name=entry,
        kind="openai",
        base_url=_base_url(draft, entry, url) if url else "",
        api_key=api_key,
        timeouts=_timeouts(keys.timeouts),
        preset=preset.name if preset else "",
        key_header=header,
        resilience=resilience(draft, entry, keys),
        parameters=_parameters(keys.parameters),
        **connecting(draft, entry, keys, url),
    )


def _parameters(keys: ParameterKeys) -> Accepts:
    return Accepts(frozenset(keys.drop), keys.rename, frozenset(keys.refuse))


def _simulated(draft: Draft, entry: str, keys: SimulatedUpstream) -> UpstreamSettings:
    answers = None
    if keys.answers is not None:
        answers = draft.existing(("upstreams", entry, "answers"), keys.answers)
    elif "accuracy" in keys.model_fields_set:
        draft.complain(("upstreams", entry, "accuracy"), "means nothing without answers")
    if "connect" in keys.timeouts.model_fields_set:
        trail = ("upstreams", entry, "timeouts", "connect")
        draft.complain(trail, "means nothing where there is no connection; remove it")
    settings = SimulatedSettings(
        seed=keys.seed,
        first_token=keys.first_token,
        per_token=keys.per_token,
        tokens=keys.tokens,
        error_rate=keys.error_rate,
        stall_rate=keys.stall_rate,
        answers=answers,
        accuracy=keys.accuracy,
    )
    timeouts = _timeouts(keys.timeouts)
    around = resilience(draft, entry, keys)
    return UpstreamSettings(
        entry, "simulated", timeouts=timeouts, simulated=settings, resilience=around
    )


def _timeouts(keys: TimeoutKeys) -> Timeouts:
    return Timeouts(keys.connect, keys.first_token, keys.silence, keys.total)


def _base_url(draft: Draft, entry: str, written: str) -> str:
    trail = ("upstreams", entry, "base_url")
    parts = base_url(written)
    if parts is None:
        draft.complain(trail, "must be an http:// or https:// URL with a host", written)
        return written
    if parts.username or parts.password or parts.query or parts.fragment:
        draft.complain(
            trail, "must have no user, password, query or fragment: a key goes into api_key"
        )
    elif parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        draft.warn(trail, "http:// to another machine: prompts, replies and the key can be read")
    return written.rstrip("/")


# ------------------------------------------------------------------ prices


def prices(draft: Draft) -> tuple[PriceSettings, Book | None]:
    """Read `prices` and open the book; None in its place when it could not be read."""
    keys = section(draft.document, PriceBookKeys, "prices")
    if keys is None:
        return PriceSettings(), None
    found = [draft.existing(("prices", "file"), file) for file in keys.file]
    files = tuple(file for file in found if file is not None)
    settings = PriceSettings("none" if keys.book == "none" else "builtin", files, keys.gateway_cost)
    if len(files) < len(found):
        return settings, None
    try:
        return settings, draft.open_book(settings)
    except ConfigError as error:
        draft.others.extend(error.problems)
    except OSError as error:
        draft.complain(("prices", "file"), f"cannot be read: {error.strerror}", error.filename)
    return settings, None


def price_of(
    draft: Draft,
    owner: Trail,
    named: str,
    written: PriceKeys | None,
    book: Book | None,
) -> Price:
    """Return the price of the model `named` by what stands at `owner`: its own, or the book's."""
    trail = (*owner, "price")
    if written is not None:
        price = read_price(draft.document, trail, written)
        if not isinstance(written, FreeKeys):
            _warn_of_free(draft, trail, price)
        return price.sealed("config")
    given = at(draft.document, trail) is not None
    if book is not None and named not in book and not given:
        model = draft.quoted((*owner, "model"), named)
        close = nearest(named, book)
        hint = f" The price book has similar names: {close}" if close.startswith("did") else ""
        draft.complain(
            trail,
            f"no price is known for model {model}{_since(book, named)}: write price: "
            "{input: ..., output: ...} in US dollars per million tokens, add the model to "
            f"prices.file, or write price: free.{hint}",
        )
    price = UNPRICED if book is None else book.get(named, UNPRICED)
    if price != UNPRICED:
        _warn_of_free(draft, trail, price)
    return price


def _since(book: Book, named: str) -> str:
    """Say from when on there will be a price, if there will."""
    return f" before {book.coming[named]}" if named in book.coming else ""


def _warn_of_free(draft: Draft, trail: Trail, price: Price) -> None:
    if is_free(price):
        told = "counted as free: savings will look larger than they are; if so meant, price: free"
        draft.warn(trail, told)


# ------------------------------------------------------------------ tiers


def tiers(
    draft: Draft,
    upstream_names: Collection[str],
    book: Book | None,
    upstreams: Mapping[str, UpstreamSettings],
) -> dict[str, Tier]:
    """Read `tiers`, each with its price and recipe."""
    read = {
        entry: _tier(draft, entry, upstream_names, book, upstreams)
        for entry in entries(draft, "tiers")
    }
    return {entry: tier for entry, tier in read.items() if tier}


def _tier(
    draft: Draft,
    entry: str,
    upstream_names: Collection[str],
    book: Book | None,
    upstreams: Mapping[str, UpstreamSettings],
) -> Tier | None:
    keys = check(draft.document, TierKeys, ("tiers", entry))
    if keys is None:
        return None
    check_names(draft, entry, keys.upstream, upstream_names)
    recipe = _recipe(draft, entry, keys.recipe) if keys.recipe is not None else None
    return Tier(
        name=entry,
        upstream=SEVERAL.join(keys.upstream),
        model=keys.model,
        price=price_of(draft, ("tiers", entry), keys.model, keys.price, book),
        recipe=recipe,
        bar=read_bar(draft, entry, keys, recipe),
        hold=Hold(cast("Any", keys.hold[0]), keys.hold[1]),
        context=keys.context,
        takes_tools=keys.tools,
        takes_images=keys.images,
        takes_prediction=keys.prediction,
        hedge=_hedge(keys.hedge) if keys.hedge else None,
        limits=read_limits(draft, ("tiers", entry), keys.limits),
        wire=wire_of(draft, entry, keys, upstreams),
    )


def _hedge(keys: HedgeKeys) -> Hedge:
    return Hedge(keys.after, "next" if keys.tier == "next" else "same", keys.share)


def _recipe(draft: Draft, entry: str, written: str) -> Recipe | None:
    trail = ("tiers", entry, "recipe")
    path = draft.existing(trail, written)
    if path is None:
        return None
    try:
        return load_recipe(path)
    except ConfigError as error:
        draft.others.extend(p for p in error.problems if p not in draft.others)
    except OSError as error:
        draft.complain(trail, f"cannot be read: {error.strerror}", written)
    return None
