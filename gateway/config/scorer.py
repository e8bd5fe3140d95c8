"""A route's scorer and candidate: a word, a folder, a function, an endpoint or a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.config.checking import check
from gateway.config.draft import Book, Draft
from gateway.config.fields import base_url, is_loopback
from gateway.config.ladder import price_of
from gateway.config.models import (
    LlmKeys,
    LlmScorerKeys,
    PythonScorerKeys,
    RemoteKeys,
    RemoteScorerKeys,
)
from gateway.config.problems import Trail
from gateway.core.money import Price
from gateway.core.plan import Tier
from gateway.core.scorer_spec import SCORER_TIER, LlmSpec, PythonSpec, RemoteSpec, ScorerSpec

WORDS = ("default", "rules")
"""Scorers that are not a folder."""
PYTHON = "python:"


def scorer(
    draft: Draft,
    trail: Trail,
    wanted: str | dict[str, Any],
    tiers: Mapping[str, Tier],
    book: Book | None,
) -> ScorerSpec:
    """Read a scorer, whose shape `fields.scorer` has looked at; `tiers` are those of the file."""
    if isinstance(wanted, str):
        if wanted.startswith(PYTHON):
            return PythonSpec(wanted.removeprefix(PYTHON))
        return word_or_folder(draft, trail, wanted)
    if "python" in wanted:
        function = check(draft.document, PythonScorerKeys, trail)
        return _python(function) if function else "default"
    if "remote" in wanted:
        remote = check(draft.document, RemoteScorerKeys, trail)
        return _remote(draft, (*trail, "remote"), remote.remote) if remote else "default"
    asked = check(draft.document, LlmScorerKeys, trail)
    llm = _llm(draft, (*trail, "llm"), asked.llm, tiers, book) if asked else None
    return llm or "default"


def word_or_folder(draft: Draft, trail: Trail, wanted: str) -> str:
    """Read a scorer that has a word at once."""
    if wanted in WORDS:
        return wanted
    folder = draft.existing(trail, wanted, folder=True)
    return wanted if folder is None else str(folder)


def warn_of_idle_band(
    draft: Draft, trail: Trail, scorer: ScorerSpec, thresholds: tuple[float, ...]
) -> None:
    """Warn of a band without a threshold: whatever the model says, the start is the same."""
    if not isinstance(scorer, LlmSpec):
        return
    low, high = scorer.band
    if not any(low <= threshold <= high for threshold in thresholds):
        draft.warn((*trail, "llm", "band"), "no threshold of the route lies in it")


def _python(keys: PythonScorerKeys) -> PythonSpec:
    return PythonSpec(keys.python, keys.timeout, keys.helpers, keys.memory)


def _remote(draft: Draft, trail: Trail, keys: RemoteKeys) -> RemoteSpec:
    parts, at = base_url(keys.url), (*trail, "url")
    if parts is None or len(parts.path) < 2:
        draft.complain(at, "must be the whole URL, such as http://127.0.0.1:9000/v1/embeddings")
    elif parts.username or parts.password or parts.query or parts.fragment:
        draft.complain(at, "must have no user, password, query or fragment: a key goes to api_key")
    elif parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        draft.warn(at, "http:// to another machine: prompts and the key can be read")
    folder = draft.existing((*trail, "artefact"), keys.artefact, folder=True)
    return RemoteSpec(
        url=keys.url.rstrip("/"),
        model=keys.model,
        artefact=keys.artefact if folder is None else str(folder),
        api_key=keys.api_key,
        timeout=keys.timeout,
        price=Price(input=keys.price).sealed("config"),
    )


def _llm(
    draft: Draft, trail: Trail, keys: LlmKeys, tiers: Mapping[str, Tier], book: Book | None
) -> LlmSpec | None:
    base = word_or_folder(draft, (*trail, "base"), keys.base)
    tier = _own_tier(draft, trail, keys, book) if keys.tier is None else tiers.get(keys.tier)
    if keys.tier is not None:
        draft.known((*trail, "tier"), keys.tier, draft.names("tiers"), "tier")
        for name in ("upstream", "model", "price"):
            if name in keys.model_fields_set:
                draft.complain((*trail, name), "means nothing beside tier; remove one of them")
    if tier is None:
        return None
    return LlmSpec(tier, keys.band, base, keys.timeout, keys.prompt or "")


def _own_tier(draft: Draft, trail: Trail, keys: LlmKeys, book: Book | None) -> Tier | None:
    if keys.upstream is None or keys.model is None:
        draft.complain(trail, "names no model: give tier, or upstream and model")
        return None
    draft.known((*trail, "upstream"), keys.upstream, draft.names("upstreams"), "upstream")
    price = price_of(draft, trail, keys.model, keys.price, book)
    return Tier(SCORER_TIER, keys.upstream, keys.model, price)
