"""What deployments count: whoever makes metrics of it fits this shape."""

from __future__ import annotations

from typing import Protocol


class Tally(Protocol):
    """Hears what is counted."""

    def count(self, event: str, *labels: str) -> None:
        """Count one event, by its name and labels."""
        ...

    def waited(self, upstream: str, model: str, seconds: float) -> None:
        """Hear for how long a call has stood in line."""
        ...
