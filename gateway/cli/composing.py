"""From what was found to the text of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.cli.finding import ANTHROPIC, Found, Server
from gateway.config.presets import Preset, presets

_PORT, _OTHER = 8080, 8081
Tier = tuple[str, str]
"""A tier's upstream as the configuration has it, and the rest of its mapping."""


def told(found: Found) -> Iterator[str]:
    """Say what was found, one line each."""
    for preset in found.providers:
        yield f"found {preset.key}: {preset.name}"
    for server in found.servers:
        models = ", ".join(server.models[:6]) + (", ..." if len(server.models) > 6 else "")
        yield f"found {server.preset.name} at {server.base_url}: {models}"


def nothing() -> str:
    """Say what was looked for in vain."""
    keys = ", ".join(p.key for p in (ANTHROPIC, *presets().values()) if p.key and p.pair)
    places = ", ".join(f"{p.name} at {p.base_url}" for p in presets().values() if not p.key)
    return (
        f"waterfall: nothing to begin with. Set one of {keys}; or start a model server: {places}.\n"
        "To see a waterfall without any: waterfall demo"
    )


def compose(found: Found) -> str | None:
    """Write a configuration: a small tier and a large one. A server of this machine is the small
    one, and the large one too where no provider's key is there; None where nothing was found."""
    local, far = found.servers[:1], found.providers[:1]
    if local and far:
        ladder = [_near(local[0], 0), *_pair(far[0])[-1:]]
    elif far:
        ladder = _pair(far[0])
    elif local:
        ladder = _near_pair(found.servers)
    else:
        return None
    used = {name for name, _ in ladder}
    return "\n".join(_lines(found, ladder, used)) + "\n"


def _lines(found: Found, ladder: list[Tier], used: set[str]) -> Iterator[str]:
    yield "# Written by waterfall init. Keys stay in the environment; docs/config.md explains each"
    yield "# setting, and waterfall check shows what it all comes to."
    if any(urlsplit(server.base_url).port == _PORT for server in found.servers):
        yield f"server: {{port: {_OTHER}}}                     # {_PORT} is a model server's"
    yield "upstreams:"
    for preset in found.providers:
        mark = "" if preset.name in used else "# "
        anthropic = f'kind: anthropic, api_key: "${{{preset.key}}}"'
        known = anthropic if preset is ANTHROPIC else f"preset: {preset.name}"
        yield f"  {mark}{preset.name}: {{{known}}}"
    for server in found.servers:
        mark = "" if server.preset.name in used else "# "
        own = server.base_url != server.preset.base_url
        url = f', base_url: "{server.base_url}"' if own else ""
        yield f"  {mark}{server.preset.name}: {{preset: {server.preset.name}{url}}}"
    yield "tiers:                                   # cheap to strong"
    names = ("small", "large")[-len(ladder) :] if len(ladder) > 1 else ("small",)
    for name, (upstream, rest) in zip(names, ladder, strict=True):
        yield f"  {name}: {{upstream: {upstream}, {rest}}}"
    yield "routes:"
    yield f"  waterfall: {{tiers: [{', '.join(names)}], aliases: [auto]}}"


def _pair(preset: Preset) -> list[Tier]:
    return [(preset.name, _flow(entry)) for entry in preset.pair.values()]


def _near(server: Server, place: int) -> Tier:
    return server.preset.name, f'model: "{server.models[place]}", price: free'


def _near_pair(servers: tuple[Server, ...]) -> list[Tier]:
    """The smallest model of the first server, and the largest of the last; one, where it is one."""
    small, large = _near(servers[0], 0), _near(servers[-1], -1)
    return [small] if small == large else [small, large]


def _flow(entry: object) -> str:
    """Write a mapping's inside in YAML's flow style."""
    if not isinstance(entry, dict):
        return f'"{entry}"' if isinstance(entry, str) else str(entry)
    parts = []
    for key, value in entry.items():
        inner = _flow(value)
        parts.append(f"{key}: {{{inner}}}" if isinstance(value, dict) else f"{key}: {inner}")
    return ", ".join(parts)
