"""Prompts that are kept to learn from, where the configuration asks for them, and for how long."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from gateway.core.signals import Signals
from gateway.store.connection import Writer

BATCH = 500
_FORGET = """
DELETE FROM prompt WHERE entry_id IN (SELECT entry_id FROM prompt WHERE at < ? LIMIT ?)"""
_KNOWN = frozenset(each.name for each in fields(Signals))


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Deletes prompts older than `retention` seconds; `wall` is UNIX time in seconds."""

    retention: float
    wall: Callable[[], float]

    def forget(self, writer: Writer) -> bool:
        """Delete a batch; say whether there may be more."""
        with writer.transaction():
            done = writer.connection.execute(_FORGET, (self.wall() - self.retention, BATCH))
        return done.rowcount == BATCH


def read_signals(text: str) -> Signals | None:
    """Read what was kept of a prompt, whichever version kept it: what it lacks has its default,
    what is no longer known is left out. None for what is no such thing."""
    try:
        kept: Any = json.loads(text)
    except ValueError:
        return None
    if not isinstance(kept, Mapping) or not isinstance(kept.get("text"), str):
        return None
    return Signals(**{name: _frozen(value) for name, value in kept.items() if name in _KNOWN})


def _frozen(value: Any) -> Any:
    """JSON knows no tuples: what is a list now was one."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
