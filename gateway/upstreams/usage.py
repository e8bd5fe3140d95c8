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

_SERVICE = re.compile(r"[a-z0-9_.-]{1,32}")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where a dialect keeps what.

    `parts` has the fields of Usage by where they are: by a key of the usage, and by a key of a
    mapping within it; `cache_write_5m` is no field, but a part of `cache_write`. A part that is
    told twice is what the larger one says. Those in `beside` are not within the prompt, but on top
    of it. `total` is where the sum of all is, for a dialect whose servers do not agree on what is
    within what.
    """

    prompt: str
    completion: str
    parts: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    total: str = ""


OPENAI = Dialect(
    prompt="prompt_tokens",
    completion="completion_tokens",
    parts={
        "prompt_tokens_details": {
            "cached_tokens": "cached",
            "cache_write_tokens": "cache_write",
            "cache_creation_tokens": "cache_write",
            "audio_tokens": "audio_input",
            "image_tokens": "image_input",
        },
        "completion_tokens_details": {
            "reasoning_tokens": "reasoning",
            "audio_tokens": "audio_output",
            "image_tokens": "image_output",
        },
        "prompt_cache_hit_tokens": "cached",  # DeepSeek
        "cached_tokens": "cached",  # Moonshot
        "cache_creation_input_tokens": "cache_write",
        "reasoning_tokens": "reasoning",
    },
    total="total_tokens",
)
ANTHROPIC = Dialect(
    prompt="input_tokens",
    completion="output_tokens",
    parts={
        "cache_read_input_tokens": "cached",
        "cache_creation_input_tokens": "cache_write",
        "cache_creation": {
            "ephemeral_5m_input_tokens": "cache_write_5m",
            "ephemeral_1h_input_tokens": "cache_write_1h",
        },
        "output_tokens_details": {"thinking_tokens": "reasoning"},
    },
    beside=frozenset({"cached", "cache_write"}),
)

_SENT = {"cached_tokens": "cached", "audio_tokens": "audio_input", "image_tokens": "image_input"}
_MADE = {
    "reasoning_tokens": "reasoning",
    "audio_tokens": "audio_output",
    "image_tokens": "image_output",
}
TOKENS = Dialect(
    prompt="input_tokens",
    completion="output_tokens",
    parts={
        "input_tokens_details": _SENT,
        "input_token_details": _SENT,
        "output_tokens_details": _MADE,
        "output_token_details": _MADE,
    },
)
"""Of OpenAI's endpoints for images and audio."""
RESPONSES = Dialect(
    prompt="input_tokens",
    completion="output_tokens",
    parts={
        "input_tokens_details": {**_SENT, "cache_write_tokens": "cache_write"},
        "output_tokens_details": _MADE,
    },
    total="total_tokens",
)


def read_usage(reported: object, dialect: Dialect, service: object = None) -> Usage | None:
    """Read what an upstream says it used; None when that cannot be true.

    `service` is its word for the tier of service, where that is not within the usage itself.
    """
    if not isinstance(reported, dict):
        return None
    parts: dict[str, int] = {}
    _collect(reported, dialect.parts, parts)
    prompt, completion = reported.get(dialect.prompt), reported.get(dialect.completion)
    word = _service(reported.get("service_tier") or service)
    if parts:
        written = parts.pop("cache_write_5m", 0) + parts.get("cache_write_1h", 0)
        if written > parts.get("cache_write", 0):  # told by how long it is kept, and not in all
            parts["cache_write"] = written
        if type(prompt) is int:
            prompt += sum([parts.get(name, 0) for name in dialect.beside])
        used = Usage.clamped(prompt, completion, service=word, **parts)
    else:  # as of most calls: names out of a dictionary are dear
        used = Usage.clamped(prompt, completion, service=word)
    total = reported.get(dialect.total)
    if used is None or type(total) is not int or total <= used.prompt + used.completion:
        return used
    return _with_the_rest(used, total - used.prompt - used.completion, parts)


def _collect(
    reported: Mapping[str, Any], known: Mapping[str, str | Mapping[str, str]], parts: dict[str, int]
) -> None:
    """Collect every count over 0 that has a place in a table."""
    for key, value in reported.items():
        name = known.get(key)
        if name is None:
            continue
        if isinstance(name, str):
            if type(value) is int and value > parts.get(name, 0):
                parts[name] = value
        elif isinstance(value, dict):
            _collect(value, name, parts)


def _with_the_rest(used: Usage, more: int, parts: dict[str, int]) -> Usage | None:
    """Add what only the total has: what was read from the cache or written to it, if it is just
    that; else what was thought, which every provider bills as output."""
    prompt, completion, thought = used.prompt, used.completion, parts.get("reasoning", 0)
    if more == parts.get("cached", 0) + parts.get("cache_write", 0) and more != thought:
        prompt += more
    else:
        completion += more
        parts = {**parts, "reasoning": max(thought, more)}
    return Usage.clamped(prompt, completion, service=used.service, **parts)


def _service(word: object) -> str:
    """Return the tier of service in the upstream's word, which goes into records: a short one."""
    return word if word and isinstance(word, str) and _SERVICE.fullmatch(word) else ""
