"""Recipes: how a tier rewrites a request, as versioned data. The client's own messages stay as
they are; a recipe only adds beside them.

Order on the wire, so that a provider's prefix cache hits as far as possible: what never changes
first (`before`, `output`, `examples`), then the client's own system text, then `after` and the
not-sure instruction (whose marker is drawn anew by each process), then the conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.core.chat import Message

NOT_SURE = (
    "If you are not sure that your answer is right, write {marker} as the very last thing in it."
)
_STEM = "[unsure:"
_SYSTEM = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A tier's prompt engineering. `examples` are pairs of (user, assistant) texts; `params`
    override the request's own fields; `handover` is put behind `after`, in calls that are an
    escalation alone. `name` and `version` go into ledger and header."""

    name: str
    version: int
    before: str = ""
    after: str = ""
    output: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    not_sure: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    handover: str = ""

    def handed_over(self) -> Recipe:
        """Return the recipe as it is for an escalation."""
        if not self.handover:
            return self
        texts = (text for text in (self.after, self.handover) if text)
        return replace(self, after="\n\n".join(texts), handover="")

    @property
    def label(self) -> str:
        """Return `name@version`."""
        return f"{self.name}@{self.version}"


def write_marker(entropy: int) -> str:
    """Write a marker nobody can guess from 64 random bits; one serves a process for its life."""
    return f"{_STEM}{entropy & 0xFFFFFFFFFFFFFFFF:016x}]"


def marker_at(text: str, marker: str) -> int:
    """Return where the marker begins in a whole text; -1 when it is not there.

    A text that was cut in the middle of its marker has it too: a stop sequence or a bound of the
    client's may fall there.
    """
    at = text.find(marker)
    if at >= 0:
        return at
    keep = marker_overlap(text, marker)
    return len(text) - keep if keep >= len(_STEM) else -1


def marker_overlap(text: str, marker: str) -> int:
    """Return the length of the longest tail of `text` that begins `marker`, short of all of it."""
    longest = min(len(text), len(marker) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(marker[:n])), 0)


def apply(recipe: Recipe, messages: Sequence[Message], marker: str) -> list[Message]:
    """Lay the recipe around the client's messages, each of which is kept as it is.

    The one thing cut from a client's text is the marker itself, which it cannot know by honest
    means.
    """
    own = [without_marker(message, marker) for message in messages]
    split = next((i for i, m in enumerate(own) if m.get("role") not in _SYSTEM), len(own))
    unsure = NOT_SURE.format(marker=marker) if recipe.not_sure else ""
    return [
        *_system(recipe.before, recipe.output),
        *_shots(recipe.examples),
        *own[:split],
        *_system(recipe.after, unsure),
        *own[split:],
    ]


def without_marker(message: Message, marker: str) -> Message:
    """Cut the marker from a client's message; the same object comes back when it is not there."""
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": content.replace(marker, "")} if marker in content else message
    if isinstance(content, Sequence) and any(marker in _text(part) for part in content):
        parts = [
            {**part, "text": _text(part).replace(marker, "")} if marker in _text(part) else part
            for part in content
        ]
        return {**message, "content": parts}
    return message


def _text(part: object) -> str:
    text = part.get("text") if isinstance(part, Mapping) else None
    return text if isinstance(text, str) else ""


def _system(*texts: str) -> list[Message]:
    said = "\n\n".join(text for text in texts if text)
    return [{"role": "system", "content": said}] if said else []


def _shots(examples: Sequence[tuple[str, str]]) -> list[Message]:
    return [
        {"role": role, "content": text}
        for pair in examples
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
