"""What is being served, as whoever announces it sees it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.config import Settings
from gateway.scoring import notes


class Served(Protocol):
    """A gateway being served, by one process or by several. `stopping` is set by SIGTERM or
    SIGINT, and by whoever is done."""

    @property
    def settings(self) -> Settings:
        """What it was started with, or reloaded to."""
        ...

    @property
    def base_url(self) -> str:
        """Where clients point, up to and with `/v1`."""
        ...

    @property
    def admin_url(self) -> str | None:
        """The admin listener, where there is one."""
        ...

    @property
    def admin_secret(self) -> str:
        """The admin key, or the token of this run."""
        ...

    @property
    def stopping(self) -> asyncio.Event:
        """Set once it is to stop."""
        ...


def describe(served: Served) -> list[str]:
    """Say where a gateway listens and to whom."""
    settings = served.settings
    several = f" with {settings.server.workers} workers" if settings.server.workers > 1 else ""
    lines = [f"serving {served.base_url}{several}"]
    if not settings.keys:
        lines.append("no keys are configured: only this machine is served")
    if served.admin_url is not None:
        lines.append(f"admin on {served.admin_url}")
        lines.append(f"dashboard at {served.admin_url}/dashboard/")
        if not settings.server.admin_key:
            lines.append(f"admin token for this run: {served.admin_secret}")
    return [*lines, *notes(settings.routes), *settings.warnings]
