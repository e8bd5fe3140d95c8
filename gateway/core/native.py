"""What came in a dialect other than the chat's, beside what it was read as.

The waterfall thinks in OpenAI's chat completions. Where client and tier speak the same other
dialect, what the one says reaches the other as it is: that is what is kept here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Wire = Literal["chat", "messages", "responses", "completions"]
"""A dialect: OpenAI's chat completions, Anthropic's Messages, OpenAI's Responses, and its older
completions."""


@dataclass(frozen=True, slots=True)
class NativeRequest:
    """A client's request in its own dialect.

    `read_as` is the chat completion that it was read as. `only` names what a tier of any other
    dialect cannot do, though the reply rests on it; `dropped` the harmless parameters that such a
    tier does not hear. `headers` go along to a tier that speaks the dialect. `kept_at` is the
    upstream that keeps what it goes on from, where that is known.
    """

    wire: Wire
    body: Mapping[str, Any]
    read_as: Mapping[str, Any]
    only: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    kept_at: str = ""


@dataclass(frozen=True, slots=True)
class NativeEvent:
    """An event of a stream, or a whole reply (no `name`), as its upstream sent it. `payload` is
    what it was read as: a delta whose payload is another object has been edited since."""

    wire: Wire
    name: str
    data: bytes
    payload: Mapping[str, Any]
