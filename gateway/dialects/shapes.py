"""Small checks that every reader of a client's request makes, and the words it complains in; and
what every writer of one says of a chat that is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.core.errors import BadRequest, CannotCarry

Write = Callable[[Mapping[str, Any]], tuple[dict[str, Any], list[str]]]
"""Writes a chat's request in another dialect; returns it, and the names of what was dropped."""


def wrong(field: str, expected: str) -> BadRequest:
    """Return the error for a field that is not what it must be."""
    return BadRequest(f"{field} must be {expected}.", param=field)


def mapping(value: object, field: str) -> Mapping[str, Any]:
    """Return an object. Raises BadRequest naming the field."""
    if not isinstance(value, Mapping):
        raise wrong(field, "an object")
    return value


def listed(value: object, field: str) -> list[Any]:
    """Return a list. Raises BadRequest naming the field."""
    if not isinstance(value, list):
        raise wrong(field, "a list")
    return value


def text(value: object, field: str) -> str:
    """Return a text. Raises BadRequest naming the field."""
    if not isinstance(value, str):
        raise wrong(field, "a string")
    return value


def name(value: object, field: str) -> str:
    """Return a text that is not empty. Raises BadRequest naming the field."""
    if not isinstance(value, str) or not value:
        raise wrong(field, "a string that is not empty")
    return value


def told_and_shown(content: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Part what a tool returned: its text, which is all that a chat's tool can say, from images and
    files, which are a user's to show right after."""
    if isinstance(content, str):
        return content, []
    said = [part for part in content if part["type"] == "text"]
    shown = [part for part in content if part["type"] != "text"]
    if not said and shown:
        return "What it returned is shown in the next message.", shown
    return said[0]["text"] if len(said) == 1 else said, shown


def written(body: Mapping[str, Any], write: Write, spoken: str) -> tuple[dict[str, Any], list[str]]:
    """Write a chat's request by `write` in a dialect that is called `spoken`. Raises CannotCarry
    for what is in no chat's shape, beside what `write` raises."""
    try:
        return write(body)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CannotCarry(
            "The messages or tools are not in the shape of a chat completion's, so they cannot be "
            f"said in {spoken}.",
            param="messages",
        ) from error
