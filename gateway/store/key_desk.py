"""Makes, lists, rotates and revokes keys, for the command and for the admin listener alike."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.core.errors import BadRequest, GatewayError, NotFound
from gateway.store.connection import Place
from gateway.store.keys import KeyTable, StoredKey, digest_of, make_pepper, new_key


@dataclass(frozen=True, slots=True)
class Made:
    """A key that has just been made: its text, which nobody can tell again, and what is kept."""

    text: str
    key: StoredKey


class KeyDesk:
    """All of it blocks, and raises OSError while the ledger is not to be had."""

    def __init__(
        self, place: Place, pepper: str | None, pepper_file: Path, wall: Callable[[], float]
    ) -> None:
        """`pepper` is the configuration's, in the place of the file's; `wall` is UNIX time."""
        self._table = KeyTable(place)
        self._pepper, self._file, self._wall = pepper, pepper_file, wall

    def create(self, name: str, settings: Mapping[str, Any], lasts: float | None = None) -> Made:
        """Make a key that `lasts` so many seconds, None for ever; `settings` have been checked.

        Raises BadRequest where there is one of its name, be it revoked.
        """
        now = self._wall()
        text, shown = new_key()
        digest = digest_of(text, make_pepper(self._pepper, self._file))
        expires = None if lasts is None else now + lasts
        key = StoredKey(name, digest, shown, dict(settings), now, expires)
        if not self._table.add(key):
            raise BadRequest(f"There is a key {name!r} already.", param="name")
        return Made(text, key)

    def list(self) -> list[StoredKey]:
        """Return every key."""
        return self._table.all()

    def rotate(self, name: str, grace: float = 0.0) -> Made:
        """Make another key in a key's place; the old one is good for `grace` seconds more. Without
        a grace none but the new one is good.

        Raises NotFound where there is none that is good; BadRequest for a grace while that of the
        last rotation is not over: the key before would lose the rest of what it was promised.
        """
        text, shown = new_key()
        digest = digest_of(text, make_pepper(self._pepper, self._file))
        now = self._wall()
        alone = now if grace else None
        if not self._table.rotate(name, digest, shown, now + grace, alone):
            raise self._refused(name, now)
        return Made(text, self._named(name)[0])

    def _named(self, name: str) -> builtins.list[StoredKey]:
        return [key for key in self._table.all() if key.name == name]

    def _refused(self, name: str, now: float) -> GatewayError:
        for key in self._named(name):
            if key.state(now) != "revoked" and key.old_until is not None:
                return BadRequest(
                    f"The key {name!r} was rotated a moment ago: the one before is good for "
                    f"{max(key.old_until - now, 0):.0f} seconds more. Wait for that, or rotate "
                    "without a grace, which ends both at once.",
                    param="grace",
                )
        return _unknown(name)

    def revoke(self, name: str) -> None:
        """Make a key good no more. Raises NotFound where there is none that is."""
        if not self._table.revoke(name, self._wall()):
            raise _unknown(name)


def _unknown(name: str) -> NotFound:
    return NotFound(f"There is no key {name[:128]!r} that is good.", param="name")


def told(key: StoredKey, now: float) -> dict[str, Any]:
    """What may be said of a key, as JSON values."""
    return {
        "name": key.name,
        "shown": f"{key.shown}...",
        "state": key.state(now),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        **key.settings,
    }
