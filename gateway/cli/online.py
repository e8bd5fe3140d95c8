"""Asks each upstream whether it is there, takes our key, and has the models that tiers name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from gateway.config import Settings, UpstreamSettings
from gateway.config.presets import BEARER

_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Found:
    """What an upstream said. `ok` is whether requests can be expected to work."""

    upstream: str
    ok: bool
    told: str


def ask_all(settings: Settings) -> list[Found]:
    """Ask every upstream's `GET /models`; at most five seconds each, one after the other."""
    models: dict[str, set[str]] = {name: set() for name in settings.upstreams}
    for tier in settings.tiers.values():
        for name in tier.upstreams:
            models[name].add(tier.model)
    return [_ask(upstream, models[name]) for name, upstream in settings.upstreams.items()]


def _ask(upstream: UpstreamSettings, models: Iterable[str]) -> Found:
    if upstream.simulated is not None:
        return Found(upstream.name, ok=True, told="simulated")
    if not upstream.base_url:
        return Found(upstream.name, ok=True, told="not asked: litellm has no list of its models")
    try:
        reply = _listing(upstream)
    except httpx.ProxyError as error:
        told = f"its proxy does not let us through ({str(error)[:3]})"
        return Found(upstream.name, ok=False, told=told)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        return Found(upstream.name, ok=False, told=f"not reached: {type(error).__name__}")
    if reply.status_code in (401, 403):
        return Found(upstream.name, ok=False, told=f"refuses our key ({reply.status_code})")
    listed = _ids(reply)
    if listed is None:
        told = f"reached; it does not list its models ({reply.status_code})"
        return Found(upstream.name, ok=reply.status_code < 500, told=told)
    missing = sorted(set(models) - listed)
    if missing:
        return Found(upstream.name, ok=False, told=f"does not list {', '.join(missing)}")
    return Found(upstream.name, ok=True, told="reached, and has its models")


def _listing(upstream: UpstreamSettings) -> httpx.Response:
    """Ask an upstream for its models. Raises what httpx does."""
    scheme = "Bearer " if upstream.key_header == BEARER else ""
    headers = {upstream.key_header: f"{scheme}{upstream.api_key}"} if upstream.api_key else {}
    with httpx.Client(timeout=_PATIENCE, trust_env=False, proxy=upstream.proxy) as client:
        reply = client.get(f"{upstream.base_url.rstrip('/')}/models", headers=headers)
    if reply.status_code == 407:  # of a plain request, which the proxy itself answers
        raise httpx.ProxyError("407")
    return reply


def _ids(reply: httpx.Response) -> set[str] | None:
    """Return the ids of an OpenAI-style list of models, None for anything else."""
    try:
        listed = reply.json()["data"]
        return {each["id"] for each in listed}
    except (ValueError, KeyError, TypeError):
        return None
