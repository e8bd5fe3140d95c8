"""The section `passthrough`: endpoints that one upstream answers, and their bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import PlainValidator

from gateway.config.checking import section
from gateway.config.draft import Book, Draft
from gateway.config.fields import Name, Seconds
from gateway.config.models import Strict
from gateway.config.quantities import size
from gateway.config.settings import PassthroughSettings, UpstreamSettings

GROUPS = ("embeddings", "moderations", "audio", "images", "files", "batches")


class PassthroughKeys(Strict):
    """Which upstream answers what."""

    embeddings: Name | None = None
    moderations: Name | None = None
    audio: Name | None = None
    images: Name | None = None
    files: Name | None = None
    batches: Name | None = None
    max_upload: Annotated[int, PlainValidator(size)] = 100_000_000
    timeout: Seconds = 600.0


def passthrough(
    draft: Draft, upstreams: Mapping[str, UpstreamSettings], book: Book | None
) -> PassthroughSettings:
    """Read `passthrough`."""
    keys = section(draft.document, PassthroughKeys, "passthrough")
    if keys is None:
        return PassthroughSettings()
    named = {group: getattr(keys, group) for group in GROUPS}
    chosen = {group: name for group, name in named.items() if name is not None}
    for group, name in chosen.items():
        trail = ("passthrough", group)
        known = draft.known(trail, name, draft.names("upstreams"), "upstream")
        upstream = upstreams.get(name)
        if known and upstream is not None and upstream.kind != "openai":
            draft.complain(trail, f"{name} is of kind {upstream.kind}, which has no such endpoint")
    for bound in ("max_upload", "timeout"):
        if bound in keys.model_fields_set and not chosen:
            draft.complain(("passthrough", bound), "means nothing where nothing is passed through")
    prices = dict(book) if book is not None and chosen else {}
    return PassthroughSettings(chosen, keys.max_upload, keys.timeout, prices)
