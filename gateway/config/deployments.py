"""Which upstreams have a tier's model, and what stands around each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gateway.config.draft import Draft
from gateway.config.models import TierKeys
from gateway.config.problems import Trail
from gateway.config.resilience_keys import ResilienceKeys
from gateway.config.settings import Resilience, UpstreamSettings
from gateway.core.native import Wire


def resilience(draft: Draft, entry: str, keys: ResilienceKeys) -> Resilience:
    """Read what stands around an upstream; what would never act is a problem."""
    for key in ("reserve", "queue") if keys.concurrency == "off" else ():
        if key in keys.model_fields_set:
            told = "means nothing with concurrency: off, where nobody waits; remove it"
            draft.complain(("upstreams", entry, key), told)
    if keys.queue.length == 0 and "wait" in keys.queue.model_fields_set:
        told = "means nothing with length: 0, where nobody waits; remove one of them"
        draft.complain(("upstreams", entry, "queue", "wait"), told)
    return keys.settings()


def check_names(
    draft: Draft, entry: str, names: Sequence[str], upstream_names: Collection[str]
) -> None:
    """See that a tier's upstreams are there, each once."""
    for place, name in enumerate(names):
        trail: Trail = ("tiers", entry, "upstream", *((place,) if len(names) > 1 else ()))
        if draft.known(trail, name, upstream_names, "upstream") and name in names[:place]:
            draft.complain(trail, "named twice", name)


def wire_of(
    draft: Draft, entry: str, keys: TierKeys, upstreams: Mapping[str, UpstreamSettings]
) -> Wire:
    """Which dialect a tier is asked in: its upstreams', who must all speak the same; those of kind
    openai may be asked in either of two."""
    kinds = {upstreams[name].kind for name in keys.upstream if name in upstreams}
    if "anthropic" in kinds and len(kinds) > 1:
        told = "speak different wires: a tier is asked in one; make them two tiers"
        draft.complain(("tiers", entry, "upstream"), told)
    if keys.wire is not None and kinds - {"openai"}:
        told = "is settled by the kind of its upstream, which is not openai; remove it"
        draft.complain(("tiers", entry, "wire"), told)
    if "anthropic" in kinds:
        return "messages"
    return "responses" if keys.wire == "responses" else "chat"
