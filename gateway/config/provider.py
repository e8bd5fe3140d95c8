"""An upstream by its provider's preset: where it is, what its key is, what its models take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.config.draft import Draft
from gateway.config.models import OpenAIUpstream
from gateway.config.presets import BEARER, Preset, merged, presets
from gateway.config.settings import UpstreamSettings
from gateway.core.accepts import BY_WIRE, EVERYTHING
from gateway.core.plan import Tier


def preset_of(draft: Draft, entry: str, keys: OpenAIUpstream) -> Preset | None:
    """Return the preset that an upstream names; an unknown one is a problem."""
    if keys.preset is None:
        return None
    draft.known(("upstreams", entry, "preset"), keys.preset, presets(), "preset")
    return presets().get(keys.preset)


def url_of(draft: Draft, entry: str, keys: OpenAIUpstream, preset: Preset | None) -> str:
    """Return its base URL: the upstream's own, or its preset's. None at all is a problem."""
    if keys.base_url is not None:
        return keys.base_url
    if preset is not None and preset.base_url:
        return preset.base_url
    trail = ("upstreams", entry, "base_url")
    if preset is not None:
        draft.complain(trail, f"is required: with preset {preset.name} everybody has an own one")
    elif keys.preset is None:
        draft.complain(trail, f"is required, or a preset: {', '.join(presets())}")
    return ""


def key_of(
    draft: Draft, entry: str, keys: OpenAIUpstream, preset: Preset | None
) -> tuple[str | None, str]:
    """Return its key and the header that this goes in. With a preset the key is by default in the
    provider's own variable of the environment, and that it is not there is a problem."""
    header = preset.header if preset else BEARER
    if preset is None or not preset.key or "api_key" in keys.model_fields_set:
        return keys.api_key, header
    found = draft.environ.get(preset.key) or None
    if found is None:
        draft.complain(
            ("upstreams", entry, "preset"),
            f"{preset.name} takes its key from {preset.key}, which is not set: set it, or write "
            "api_key (empty where none is needed)",
        )
    return found, header


def with_accepts(
    tiers: Mapping[str, Tier], upstreams: Mapping[str, UpstreamSettings]
) -> dict[str, Tier]:
    """Return the tiers, each with what its upstream takes of a request for its model; of several
    upstreams, what all of them take."""
    return {
        name: _fitted(tier, [upstreams[each] for each in tier.upstreams if each in upstreams])
        for name, tier in tiers.items()
    }


def _fitted(tier: Tier, upstreams: Sequence[UpstreamSettings]) -> Tier:
    known = []
    for upstream in upstreams:
        preset = presets().get(upstream.preset)
        known += [preset.takes(tier.model)] if preset else []
        known.append(upstream.parameters)
    takes = merged([*known, BY_WIRE.get(tier.wire, EVERYTHING)])
    return tier if takes == EVERYTHING else replace(tier, accepts=takes)
