"""Names that are too long for a chat: OpenAI takes 64 characters for a function or a user, others
take more. A longer one is cut, with a hash in the place of what is missing, and told in full to
whom it came from."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from gateway.core.chat import ChatRequest

LONGEST: Final = 64
_HASH: Final = 8


def short(name: str) -> str:
    """Return what a chat calls it."""
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - _HASH - 1]}_{sha256(name.encode()).hexdigest()[:_HASH]}"


def full_names(request: ChatRequest) -> Mapping[str, str]:
    """Return the tools whose names are cut, in full by what a chat calls them."""
    tools = request.native.body.get("tools") if request.native is not None else None
    named = (str(tool.get("name") or "") for tool in tools or ())
    return {short(name): name for name in named if len(name) > LONGEST}
