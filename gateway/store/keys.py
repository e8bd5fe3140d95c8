"""Keys in the ledger's database: by the hash of each alone, with what it may do.

The hash is an HMAC under a pepper that is not in the database: with that alone no key can be tried.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.store.connection import Connection, Ledger, Place, as_os_error
from gateway.store.ledgers import ledger_at

MARK = "wf-"
"""What a key begins with."""
SHOWN = 10
"""Characters of a key that may be shown."""
PEPPER = 32
"""Bytes of a pepper of ours."""

_TABLE = """
CREATE TABLE IF NOT EXISTS client_key (
  name TEXT PRIMARY KEY, digest TEXT NOT NULL, shown TEXT NOT NULL, settings TEXT NOT NULL,
  created_at DOUBLE PRECISION NOT NULL, expires_at DOUBLE PRECISION,
  revoked_at DOUBLE PRECISION, old_digest TEXT, old_until DOUBLE PRECISION)"""
_IS_THERE = (
    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'client_key'",
    "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'client_key'",
)
_ALL = "SELECT * FROM client_key ORDER BY name"
_ADD = """
INSERT INTO client_key VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL)
ON CONFLICT (name) DO NOTHING"""
_ROTATE = """
UPDATE client_key SET old_digest = digest, old_until = ?, digest = ?, shown = ?
WHERE name = ? AND revoked_at IS NULL"""
_ROTATE_ALONE = f"{_ROTATE} AND (old_until IS NULL OR old_until <= ?)"
_REVOKE = "UPDATE client_key SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is kept. `settings` are as in a configuration's `keys`, without name and hash;
    `shown` is its beginning. Times are UNIX seconds; until `old_until` the key before a rotation
    is good too."""

    name: str
    digest: str
    shown: str
    settings: Mapping[str, Any]
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    old_digest: str | None = None
    old_until: float | None = None

    def state(self, now: float) -> str:
        """Say whether it is good: active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class KeyTable:
    """The keys of one ledger. All of it blocks; each raises OSError while the ledger is not to be
    had."""

    def __init__(self, place: Place) -> None:
        """Touches nothing yet."""
        self._ledger: Ledger = ledger_at(place)

    def all(self) -> list[StoredKey]:
        """Read every key, also those that are good no more."""
        ledger = self._ledger
        with as_os_error(ledger), ledger.read() as connection:
            if connection.execute(ledger.forms(_IS_THERE)).fetchone() is None:
                return []
            return [_read(dict(row)) for row in connection.execute(_ALL).fetchall()]

    def add(self, key: StoredKey) -> bool:
        """Keep a new key; False where there is one of its name."""
        row = (key.name, key.digest, key.shown, json.dumps(dict(key.settings)))
        values = (*row, key.created_at, key.expires_at)
        with as_os_error(self._ledger):
            self._ledger.prepare()
        return self._change(_ADD, values)

    def rotate(
        self, name: str, digest: str, shown: str, old_until: float, now: float | None = None
    ) -> bool:
        """Put another key in a key's place; False where there is none that is good, or where one
        before it still is at `now`."""
        if now is None:
            return self._change(_ROTATE, (old_until, digest, shown, name))
        return self._change(_ROTATE_ALONE, (old_until, digest, shown, name, now))

    def revoke(self, name: str, at: float) -> bool:
        """Make a key good no more; False where there is none that is."""
        return self._change(_REVOKE, (at, name))

    def _change(self, sql: str, values: Sequence[Any]) -> bool:
        with as_os_error(self._ledger), self._ledger.add() as connection:
            _make(connection, self._ledger)
            return connection.execute(sql, values).rowcount == 1


def _make(connection: Connection, ledger: Ledger) -> None:
    if connection.execute(ledger.forms(_IS_THERE)).fetchone() is None:
        connection.execute(_TABLE)


def _read(row: dict[str, Any]) -> StoredKey:
    return StoredKey(**(row | {"settings": json.loads(row["settings"])}))


# ------------------------------------------------------------------ secrets


def new_key() -> tuple[str, str]:
    """Draw a key of 256 bits; return it, and what of it may be shown."""
    text = MARK + secrets.token_urlsafe(32)
    return text, text[:SHOWN]


def digest_of(key: str, pepper: bytes) -> str:
    """Hash a key: HMAC-SHA256 under the pepper, in hexadecimal."""
    return hmac.new(pepper, key.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def read_pepper(given: str | None, file: Path) -> bytes | None:
    """Return the pepper that is configured, else the file's; None where there is neither yet.

    Raises OSError for a file that cannot be read.
    """
    if given is not None:
        return given.encode()
    try:
        return file.read_bytes() or None
    except FileNotFoundError:
        return None


def make_pepper(given: str | None, file: Path) -> bytes:
    """The same, but make the file (mode 0600) where there is none. Raises OSError."""
    if (known := read_pepper(given, file)) is not None:
        return known
    new = secrets.token_hex(PEPPER).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            sink.write(new)
        os.link(whole, file)  # whole or not at all, and never over one that is there
    except FileExistsError:
        pass  # somebody was faster: theirs it is
    finally:
        whole.unlink()
    return file.read_bytes()
