"""What upstreams say they used, read once for each dialect of the wire into one shape.

Dialects differ in their words, and in what is inside what: OpenAI counts cached tokens within the
prompt's and reasoning within the completion's; Anthropic counts cached and written tokens beside
the input's. Several servers that speak OpenAI's dialect count reasoning beside the completion (xAI,
Gemini's thoughts), which only their total gives away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.money import Usage

Path = tuple[str, ...]
_SERVICE = re.compile(r"[a-z0-9_.-]{1,32}")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where a dialect keeps what, as paths within its usage: the first that holds a count is read.

    `parts` go by the fields of Usage. Those in `beside` are not within the prompt, but on top of
    it. `total` is where the sum of all is, for a dialect whose servers do not agree on what is
    within what.
    """

    prompt: str
    completion: str
    parts: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    total: str = ""


OPENAI = Dialect(
    prompt="prompt_tokens",
    completion="completion_tokens",
    parts={
        "cached": (
            ("prompt_tokens_details", "cached_tokens"),
            ("prompt_cache_hit_tokens",),  # DeepSeek
            ("cached_tokens",),  # Moonshot
        ),
        "cache_write": (
            ("prompt_tokens_details", "cache_write_tokens"),
            ("prompt_tokens_details", "cache_creation_tokens"),
            ("cache_creation_input_tokens",),
        ),
        "reasoning": (("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",)),
        "audio_input": (("prompt_tokens_details", "audio_tokens"),),
        "audio_output": (("completion_tokens_details", "audio_tokens"),),
        "image_input": (("prompt_tokens_details", "image_tokens"),),
        "image_output": (("completion_tokens_details", "image_tokens"),),
    },
    total="total_tokens",
)
ANTHROPIC = Dialect(
    prompt="input_tokens",
    completion="output_tokens",
    parts={
        "cached": (("cache_read_input_tokens",),),
        "cache_write": (("cache_creation_input_tokens",),),
        "cache_write_1h": (("cache_creation", "ephemeral_1h_input_tokens"),),
    },
    beside=frozenset({"cached", "cache_write"}),
)


def read_usage(reported: object, dialect: Dialect, service: object = None) -> Usage | None:
    """Read what an upstream says it used; None when that cannot be true.

    `service` is its word for the tier of service, where that is not within the usage itself.
    """
    if not isinstance(reported, dict):
        return None
    parts = {name: _first(reported, paths) for name, paths in dialect.parts.items()}
    prompt, completion = reported.get(dialect.prompt), reported.get(dialect.completion)
    if type(prompt) is int:
        prompt += sum(parts[name] for name in dialect.beside)
    used = Usage.clamped(prompt, completion, service=_service(reported, service), **parts)
    return _reconciled(used, reported, dialect, parts) if used and dialect.total else used


def _reconciled(
    used: Usage, reported: Mapping[str, Any], dialect: Dialect, parts: Mapping[str, int]
) -> Usage | None:
    """Add what only the total has: what was read from the cache or written to it, if it is just
    that; else what was thought, which every provider bills as output."""
    total = reported.get(dialect.total)
    more = total - used.prompt - used.completion if type(total) is int else 0
    if more <= 0:
        return used
    prompt, completion = used.prompt, used.completion
    if more == parts["cached"] + parts["cache_write"] and more != parts["reasoning"]:
        prompt += more
    else:
        completion += more
        parts = {**parts, "reasoning": max(parts["reasoning"], more)}
    return Usage.clamped(prompt, completion, service=used.service, **parts)


def _first(reported: Mapping[str, Any], paths: tuple[Path, ...]) -> int:
    """Return the first count over 0 at these paths, else 0."""
    for path in paths:
        value: Any = reported
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if type(value) is int and value > 0:
            return int(value)
    return 0


def _service(reported: Mapping[str, Any], outside: object) -> str:
    """Return the tier of service in the upstream's word, which goes into records: a short one."""
    word = reported.get("service_tier") or outside
    return word if isinstance(word, str) and _SERVICE.fullmatch(word) else ""
