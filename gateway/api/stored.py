"""Keys of the store, as what they may do."""

from __future__ import annotations

from collections.abc import Callable

from gateway.api.auth import Key
from gateway.config import ConfigError
from gateway.config.stored_keys import stored_key
from gateway.core.errors import NotReady, Unauthorized
from gateway.store.keyring import Keyring
from gateway.store.keys import StoredKey


class StoredKeys:
    """Fits gateway.api.auth.Stored. What is made of a key is made once, for as long as it stays as
    it is."""

    def __init__(self, ring: Keyring, wall: Callable[[], float]) -> None:
        """`wall` is UNIX time in seconds."""
        self._ring, self._wall = ring, wall
        self._made: dict[str, tuple[StoredKey, Key]] = {}

    def find(self, token: str) -> Key | None:
        """See the protocol."""
        found = self._ring.find(token)
        if found is None:
            if self._ring.failing:
                raise NotReady(
                    "The keys cannot be read now, and this one is not among those that are known. "
                    "Try again.",
                    code="keys_unavailable",
                    retry_after=1.0,
                )
            return None
        state = found.state(self._wall())
        if state != "active":
            raise Unauthorized(f"This key is {state}.", code=f"key_{state}")
        return self._key(found)

    def _key(self, found: StoredKey) -> Key:
        made = self._made.get(found.name)
        if made is None or made[0] is not found:
            made = self._made[found.name] = found, _made_of(found)
        return made[1]


def _made_of(found: StoredKey) -> Key:
    try:
        read = stored_key(found.name, found.settings)
    except ConfigError as error:  # another version's, or somebody's own writing
        raise Unauthorized(
            f"What is kept of this key cannot be read: {error}", code="key_unreadable"
        ) from error
    return Key(read.name, b"", read.routes, read.allow, read.limits)
