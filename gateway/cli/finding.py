"""What there is to work with: keys in the environment, model servers on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from gateway.config.presets import Preset, presets

_PATIENCE = 0.5
_BILLIONS = re.compile(r"(\d+(?:\.\d+)?)\s*b(?![a-z])", re.IGNORECASE)
_NO_CHAT = re.compile(r"embed|rerank|whisper|tts|clip|bge-|e5-", re.IGNORECASE)


ANTHROPIC = Preset(
    "anthropic",
    key="ANTHROPIC_API_KEY",
    pair={"small": {"model": "claude-haiku-4-5"}, "large": {"model": "claude-opus-4-5"}},
)
"""Not a preset: it speaks a wire of its own."""


@dataclass(frozen=True, slots=True)
class Server:
    """A model server of this machine: at which of a preset's places, with which models."""

    preset: Preset
    base_url: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Providers whose key is in the environment, and servers that answer."""

    providers: tuple[Preset, ...] = ()
    servers: tuple[Server, ...] = ()


def look(environ: Mapping[str, str], places: Iterable[tuple[str, str]] | None = None) -> Found:
    """Look around. `places` are (preset, base URL) of servers to try: by default each local
    preset's own. What is asked is `GET /models`, which costs nothing."""
    known = presets()
    able = [*known.values(), ANTHROPIC]
    keyed = [p for p in able if p.key and p.pair and environ.get(p.key, "").strip()]
    if places is None:
        places = [(p.name, p.base_url) for p in known.values() if not p.key]
    with ThreadPoolExecutor(8) as threads:
        tried = [*threads.map(lambda place: _server(known[place[0]], place[1]), places)]
    return Found(tuple(keyed), tuple(server for server in tried if server))


def _server(preset: Preset, base_url: str) -> Server | None:
    try:
        with httpx.Client(timeout=_PATIENCE, trust_env=False) as client:
            listed = client.get(f"{base_url}/models").json()["data"]
        mine = [each for each in listed if each.get("owned_by") == "waterfall"]
        names = [str(each["id"]) for each in listed]
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return None
    chatting = [name for name in names if not _NO_CHAT.search(name)]
    if mine or not chatting:  # a gateway of ours is no model server
        return None
    return Server(preset, base_url, tuple(sorted(chatting, key=size_of)))


def size_of(model: str) -> float:
    """Return how many billion parameters a model's name tells of; infinite where it tells none."""
    told = _BILLIONS.findall(model)
    return float(told[-1]) if told else float("inf")
