"""Functions in a namespace, which a chat knows nothing of: there each is a function whose name
begins with its namespace's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.core.chat import ChatRequest
from gateway.dialects.names import short

_BETWEEN: Final = "__"
Spaces = Mapping[str, tuple[str, str]]
"""By what a chat calls a function: its namespace, and its name there."""


def flat(namespace: object, name: str) -> str:
    """Return what a chat calls a function."""
    return short(f"{namespace}{_BETWEEN}{name}") if namespace else name


def spaces_of(request: ChatRequest) -> Spaces:
    """Return the functions in namespaces that a request offers."""
    tools = request.native.body.get("tools") if request.native is not None else None
    return dict(_named(tools or ()))


def _named(tools: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    for space in tools:
        if space.get("type") == "namespace":
            for tool in space.get("tools") or ():
                if tool.get("type") == "function":
                    yield flat(space["name"], tool["name"]), (space["name"], tool["name"])
