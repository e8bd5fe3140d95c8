"""Bounds on what multiplies the work of a request and that no reading of it has bounded yet: the
parts of its messages, looked at before anything walks through them, and what is passed through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import BadRequest
from gateway.core.passing import Group
from gateway.core.room import Caps

_HOLDING: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": ("messages", "system"),
    "responses": ("input",),
    "completions": (),
}
"""Where a dialect's conversation is; a chat's is in its messages."""
_CHAT: Final = ("messages",)
_HELD: Final = frozenset({"content", "tool_calls", "output", "summary", "source"})
"""Fields of a message, item or part that may hold others."""


def check_parts(api: str, body: Mapping[str, Any], caps: Caps) -> None:
    """Bound a conversation's parts, as it came in the dialect `api` (empty for a chat): entries of
    its messages' contents, however deep, calls of tools, blocks of `system`, items of `input`.
    Stops at the bound: a body of a million parts costs no more than one of `parts`.

    Raises BadRequest naming the field and the bound.
    """
    left = caps.parts
    for field in _HOLDING.get(api, _CHAT):
        value = body.get(field)
        if not isinstance(value, list):
            continue
        own = len(value) if field == "messages" else 0  # a message is no part
        if own > caps.messages:
            raise _over(field, f"be at most {caps.messages} messages", "messages")
        left -= _parts(value, left + own) - own
        if left < 0:
            raise _over(field, f"hold at most {caps.parts} parts, all together", "parts")


def _parts(entries: list[Any], most: int) -> int:
    """Count entries and all that they hold; what is over `most` is not counted on."""
    count, waiting = 0, [entries]
    while waiting and count <= most:
        held = waiting.pop()
        count += len(held)
        for each in held if count <= most else ():
            if isinstance(each, dict):
                for name, inner in each.items():
                    if type(inner) is not str and name in _HELD:
                        # A document's source may be parts.
                        own = inner.get("content") if isinstance(inner, dict) else inner
                        if isinstance(own, list):
                            waiting.append(own)
    return count


def check_passed(group: Group, body: Mapping[str, Any], caps: Caps) -> None:
    """Bound what multiplies in a JSON body that is passed through: `n` images, and the
    entries of `input` of what is embedded or moderated; a list of numbers is one text, as tokens.

    Raises BadRequest naming the field and the bound.
    """
    number = body.get("n") if group == "images" else None
    if number is not None and (type(number) is not int or not 1 <= number <= caps.n):
        raise _over("n", f"be a whole number from 1 to {caps.n}", "n")
    value = body.get("input")
    if group not in ("embeddings", "moderations") or not isinstance(value, list):
        return
    if len(value) > caps.inputs and not all(type(each) is int for each in value):
        raise _over("input", f"have at most {caps.inputs} entries", "inputs")


def _over(field: str, bound: str, cap: str) -> BadRequest:
    return BadRequest(f"{field} must {bound}; the limit is server.caps.{cap}.", param=field)
