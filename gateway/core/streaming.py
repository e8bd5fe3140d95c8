"""How a stream's pieces go from an upstream to the client: what lies between fits these shapes.

Two ways lead there. One may wait at each piece; the other is one call, from the upstream's socket
to the client's, with no future, no task and no turn of the loop in it: it says where it would have
to wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.chat import Delta
from gateway.core.outcome import Outcome
from gateway.core.plan import Plan

DATA = slice(len(b"data: "), -len(b"\n\n"))
"""Where the data is of an event that is but one line of it."""


class Intake(Protocol):
    """Takes deltas in the moment in which they are read; what cannot be done in it is put off until
    somebody can wait for it.

    `flows` says that what is but a piece of text may go to `pass_on`.
    """

    flows: bool

    def pass_on(self, index: int, text: str, event: bytes) -> bool:
        """Take what is but a piece of a choice's text, as the event that the client may see.
        Returns what `take` does."""
        ...

    def take(self, deltas: Sequence[Delta]) -> bool:
        """Take the next deltas. True: go on; False: await `settle` before anything else."""
        ...

    async def settle(self) -> bool:
        """Do what was put off, and wait until there is room for more. False means: enough, close
        the upstream now."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """What is known when a stream's first byte may leave: who serves it, and after what."""

    plan: Plan
    outcome: Outcome


class Client(Protocol):
    """Where a streamed reply goes. A plain reply is not pushed: it is in the entry's outcome."""

    @property
    def takes_events(self) -> bool:
        """May what it is sent be events, as an upstream has sent them?"""
        ...

    async def start(self, head: Head) -> None:
        """Hear, once, before the first delta, what the headers need; all of it is final."""
        ...

    async def send(self, deltas: Sequence[Delta]) -> None:
        """Send the next pieces of the served reply; returns when there is room for more."""
        ...

    def pour(self, deltas: Sequence[Delta]) -> bool:
        """Send them without waiting. False: there is no room; await `drained` before the next."""
        ...

    def pass_on(self, event: bytes) -> bool:
        """Pour one event, where it takes them."""
        ...

    async def drained(self) -> None:
        """Return when what was poured has left."""
        ...
