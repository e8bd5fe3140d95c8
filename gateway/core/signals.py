"""Facts measured on a request, without judging it: what rules and scorers work from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.core.accepts import demands_of
from gateway.core.chat import CHARS_PER_TOKEN, ChatRequest, Message
from gateway.core.prompt_size import beside_text, size_of
from gateway.core.quick import maker, quick

VERSION = 2
"""Raise it when a signal changes meaning: artefacts trained on another version are refused."""
IMAGE_TOKENS = 765
"""What one image of common size costs in tokens (OpenAI's high-detail figure for 1024 x 1024)."""

_INSTRUCTING = ("system", "developer")
_OBJECT = (dict, Mapping)
"""The plain one first: to ask an abstract class alone costs five times as much, at every part."""


@quick
@dataclass(frozen=True, slots=True)
class Signals:
    """`text` is the last user message; `prompt_tokens` an estimate for the whole prompt, with all
    that its upstream will bill as one (core/prompt_size.py); `file_tokens` is what its files would
    be of that if every four characters of them were a token, the most that is reckoned with.

    `schema_chars` is the length of the tools' schemas as JSON, `system_chars` of the system's and
    developer's messages. `max_tokens` bounds each of the `choices`; their number is for the price,
    or that of those `made` where more are made than returned, and `demands` (core/accepts.py) are
    for the plan: no scorer reads any of these.
    """

    text: str = ""
    prompt_chars: int = 0
    prompt_tokens: int = 0
    turns: int = 0
    tools: int = 0
    images: int = 0
    wants_json: bool = False
    max_tokens: int | None = None
    choices: int = 1
    schema_chars: int = 0
    system_chars: int = 0
    demands: tuple[str, ...] = ()
    file_tokens: int = 0
    made: int = 1


new_signals = maker(Signals)


def measure(request: ChatRequest) -> Signals:
    """Measure a request; linear in its size."""
    messages, tools, choices = request.messages, request.tools, request.choices
    beside, files = beside_text(request)
    schema_chars = len(json.dumps(tools)) if tools else 0
    size = schema_chars + beside
    file_tokens = files // CHARS_PER_TOKEN
    best = int(request.body.get("best_of") or 1)
    asked, chars, turns, images, system_chars = "", 0, 0, 0, 0
    for message in messages:
        text, role = message.get("content"), message.get("role")
        if not isinstance(text, str):
            images += _images(text)
            text = text_of(message)
        chars += len(text)
        size += size_of(text)
        if role == "user":
            turns += 1
            asked = text
        elif role in _INSTRUCTING:
            system_chars += len(text)
    return new_signals(
        text=asked,
        prompt_chars=chars,
        prompt_tokens=size // CHARS_PER_TOKEN
        + 4 * len(messages)
        + IMAGE_TOKENS * images
        + file_tokens,
        turns=turns,
        tools=len(tools),
        images=images,
        wants_json=_wants_json(request.body.get("response_format")),
        max_tokens=request.max_tokens,
        choices=choices,
        schema_chars=schema_chars,
        system_chars=system_chars,
        demands=demands_of(request),
        file_tokens=file_tokens,
        # Some servers make `best_of` and return the best `n`.
        made=best if best > choices else choices,  # noqa: FURB136 (hot: no call)
    )


def text_of(message: Message) -> str:
    """Return a message's text: its string content, or the text parts of it, joined."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        texts = (part.get("text") for part in content if isinstance(part, _OBJECT))
        return "\n".join(text for text in texts if isinstance(text, str))
    return ""


def _images(content: object) -> int:
    if not isinstance(content, Sequence):
        return 0
    return sum(isinstance(part, _OBJECT) and part.get("type") == "image_url" for part in content)


def _wants_json(response_format: object) -> bool:
    if response_format is None:  # as nearly always; an abstract class is slow to say so
        return False
    kind = response_format.get("type") if isinstance(response_format, Mapping) else None
    return kind in ("json_object", "json_schema")
