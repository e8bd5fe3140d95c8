"""What must be in order before the gateway starts: no door that strangers could use without a key,
and a ledger that can be written."""

from __future__ import annotations

from gateway.config.fields import is_loopback
from gateway.config.settings import LedgerSettings, Settings
from gateway.store.store import Store, open_store


class StartError(Exception):
    """The gateway cannot start as it is configured; the message says what to change."""


def refuse_open_door(settings: Settings) -> None:
    """Raise StartError for a listener that strangers could use without a key."""
    server = settings.server
    locked = settings.keys or settings.key_store.enabled
    if not locked and not is_loopback(server.host):
        raise StartError(
            f"No keys are configured, so only this machine may be served: set server.host to "
            f"127.0.0.1 instead of {server.host}, or configure `keys`."
        )
    if server.admin and not server.admin_key and not is_loopback(server.admin[0]):
        raise StartError("server.admin is open to other machines: set server.admin_key.")


def open_ledger(ledger: LedgerSettings) -> Store:
    """Open the ledger. Raises StartError, or LedgerUnusable."""
    try:
        return open_store(
            ledger.place,
            spool_folder=ledger.spool,
            prompt_retention=ledger.prompt_retention,
            retention=ledger.retention,
        )
    except OSError as error:
        raise StartError(f"No ledger can be kept at {ledger.place}: {error.strerror}.") from error
