"""The keys of the store as a worker knows them: read anew every second, in a thread.

While the store is not to be had what was known goes on: a key that is known is good until it
expires, and of one that is not nobody can say whether it is.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.store.keys import KeyTable, StoredKey, digest_of, read_pepper

EVERY = 1.0
"""Seconds between two looks: a revoked key is refused by then."""
_log = logging.getLogger("waterfall")


class Keyring:
    """Begins knowing nothing; `start` begins to look."""

    def __init__(
        self,
        table: KeyTable,
        pepper: str | None,
        pepper_file: Path,
        wall: Callable[[], float],
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pepper` is the configuration's, in the place of the file's; `wall` is UNIX time, `clock`
        never goes back."""
        self._table, self._given, self._file = table, pepper, pepper_file
        self._wall, self._every = wall, every
        self._pepper: bytes | None = None
        self._known: dict[str, StoredKey] = {}
        self._clock, self._failed, self._known_at = clock, True, 0.0
        self._told = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keys", daemon=True)

    @property
    def failing(self) -> bool:
        """Is what is known too old to say of a key that there is none? The store could not be read
        when it was tried last, or has not answered for two looks."""
        return self._failed or self._clock() - self._known_at > 2 * self._every

    def start(self) -> None:
        """Look once, and from now on."""
        self.look()
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def find(self, key: str) -> StoredKey | None:
        """Return a key, be it good or not; None for one that is not known.

        Whatever it begins with takes the same time: it is hashed under the pepper before anything
        is compared.
        """
        pepper = self._pepper
        if pepper is None:
            return None
        digest = digest_of(key, pepper)
        found = self._known.get(digest)
        if found is None:
            return None
        old = found.old_digest == digest
        if old and (found.old_until is None or found.old_until <= self._wall()):
            return None
        kept = found.old_digest if old and found.old_digest else found.digest
        return found if hmac.compare_digest(kept, digest) else None

    def look(self) -> None:
        """Read the store."""
        began = self._clock()
        try:
            if self._pepper is None:
                self._pepper = read_pepper(self._given, self._file)
            found = self._table.all()
        except OSError as error:
            if not self._told:
                _log.error("The keys cannot be read, those that are known stay: %s", error)
            self._failed = self._told = True
            return
        known = {key.digest: key for key in found}
        known |= {key.old_digest: key for key in found if key.old_digest}
        # The same objects as long as nothing changes: what is made of them is made once.
        before = {key.name: key for key in self._known.values()}
        self._known = {
            digest: before[key.name] if before.get(key.name) == key else key
            for digest, key in known.items()
        }
        self._failed = self._told = False
        self._known_at = began

    def _run(self) -> None:
        while not self._closing.wait(self._every):
            try:
                self.look()
            except Exception:  # noqa: BLE001 (the next look tries again)
                _log.exception("The keys could not be read.")
                self._failed = True
