"""Doors that may not stand open: a listener that strangers could reach without a key."""

from __future__ import annotations

from gateway.config.fields import is_loopback
from gateway.config.settings import Settings


class StartError(Exception):
    """The gateway cannot start as it is configured; the message says what to change."""


def refuse_open_door(settings: Settings) -> None:
    """Raise StartError for a listener that strangers could use without a key."""
    server = settings.server
    if not settings.keys and not is_loopback(server.host):
        raise StartError(
            f"No keys are configured, so only this machine may be served: set server.host to "
            f"127.0.0.1 instead of {server.host}, or configure `keys`."
        )
    if server.admin and not server.admin_key and not is_loopback(server.admin[0]):
        raise StartError("server.admin is open to other machines: set server.admin_key.")
