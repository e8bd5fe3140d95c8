"""How much one process takes on at once, and how much one request may ask for."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_CONTAINERS = 60_000
"""Objects and lists that a body may have whatever its bounds are."""


@dataclass(frozen=True, slots=True)
class Caps:
    """The most of everything in a request that multiplies work or money."""

    messages: int = 10_000
    parts: int = 10_000
    tools: int = 2_000
    n: int = 128
    max_tokens: int = 10_000_000
    stop: int = 64
    logit_bias: int = 10_000
    top_logprobs: int = 20
    inputs: int = 10_000

    @property
    def containers(self) -> int:
        """Objects and lists in all of a body: two for each message and part, and as many for the
        rest, such as tools' schemas, as is more than anybody sends."""
        return LEAST_CONTAINERS + 2 * (self.messages + self.parts)


CAPS = Caps()
"""The defaults."""


class Room:
    """Counts requests under way and the bytes of their bodies, against the most of each."""

    __slots__ = ("_most_bytes", "_most_requests", "bytes", "requests")

    def __init__(self, most_requests: int, most_bytes: int) -> None:
        self._most_requests, self._most_bytes = most_requests, most_bytes
        self.requests = self.bytes = 0

    @property
    def full(self) -> bool:
        """Is there no room for another request?"""
        return self.requests >= self._most_requests

    def enter(self) -> bool:
        """Take a request in, if there is room."""
        if self.full:
            return False
        self.requests += 1
        return True

    def charge(self, size: int) -> bool:
        """Take in so many bytes of a body that arrives, if there is room; one body alone always
        finds it."""
        if self.bytes and self.bytes + size > self._most_bytes:
            return False
        self.bytes += size
        return True

    def leave(self) -> None:
        """Let a request go."""
        self.requests -= 1

    def give_back(self, size: int) -> None:
        """Take so many bytes back that were charged."""
        self.bytes -= size
