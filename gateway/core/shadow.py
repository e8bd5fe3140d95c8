"""A tier asked in the shadow: what the policy would have had, where another tier was served."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from gateway.core.outcome import Attempt
from gateway.core.rows import attempt_row

ShadowResult = Literal["accept", "defer", "failed", "cancelled", "skipped"]


@dataclass(frozen=True, slots=True)
class Shadow:
    """An attempt that was made for the record alone, once the request `entry_id` had its answer.

    `started_at` is a UNIX time in seconds; the calls' own times count from it. Without an attempt
    it was skipped: too many were under way.
    """

    entry_id: str
    route: str
    started_at: float = 0.0
    attempt: Attempt | None = None

    @property
    def result(self) -> ShadowResult:
        """In one bounded word."""
        attempt = self.attempt
        if attempt is None:
            return "skipped"
        if attempt.failure is not None:
            return "failed"
        if attempt.verdict is None:
            return "cancelled"
        return "accept" if attempt.verdict.accepted else "defer"


def drawn(entry_id: str, share: float) -> bool:
    """Is this request among the `share`, 0..1, that is asked in the shadow? Its id says so, so
    that anybody can say it again."""
    digest = blake2b(f"shadow\0{entry_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64 < share


def shadow_row(shadow: Shadow, attempt: Attempt) -> dict[str, Any]:
    """Flatten it into plain JSON values, to be added to its request's own record."""
    return {
        "shadow": {"entry_id": shadow.entry_id, "started_at": shadow.started_at},
        "attempts": [attempt_row(attempt, shadow.started_at, served=False, shadow=True)],
    }
