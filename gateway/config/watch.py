"""Tells when a configuration's files have changed, by looking: no native notifications, which
network file systems and mounted config maps do not send.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

LOG = logging.getLogger(__name__)
_ENTRIES = 1_000
"""As many files of a watched folder are looked at."""

AGAIN_SECONDS = 60.0
"""After so long a time that has come is told again."""

EVERY = 0.25
"""Seconds between two looks: what a change takes away, as a key, is gone within two seconds."""

Facts = tuple[int, int, int]
Look = Mapping[Path, Facts | None]
"""Each file's (modification time in ns, size, inode), None while it is not there."""
OnChange = Callable[[], Awaitable[object] | object]


def _now() -> float:
    return datetime.now(tz=UTC).timestamp()


class Watcher:
    """Calls back once after each change of its files, when they have come to rest.

    A change is told when two looks in a row agree, so that a half-written file is left alone;
    a file that is put in another's place, or vanishes, has changed too. So has what the files say
    once a certain time has come; as long as nothing follows from that, it is told again.
    """

    def __init__(
        self,
        files: Iterable[Path],
        on_change: OnChange,
        until: float | None = None,
        *,
        interval: float = EVERY,
        now: Callable[[], float] = _now,
    ) -> None:
        """`until` is that UNIX time, if there is one, as `now` has it; `interval` is the seconds
        between two looks; `on_change` may be a coroutine function."""
        self._on_change = on_change
        self._interval = interval
        self._now = now
        self._not_before = 0.0
        self._told: Look = {}
        self._last: Look = {}
        self.follow(files, until)

    def follow(self, files: Iterable[Path], until: float | None = None) -> None:
        """Watch these files (and folders' files), and for this time, from now on.

        A file watched already counts as last seen: a change made while the new list was on its
        way is still told.
        """
        self._files = tuple(files)
        self._until = until
        before = self._last
        now = look(self._files)
        self._told = self._last = {path: before.get(path, facts) for path, facts in now.items()}

    def poll(self) -> bool:
        """Look once: has something changed since last told, and come to rest?"""
        return self._has_come() or self._has_changed()

    def _has_come(self) -> bool:
        now = self._now()
        if self._until is None or now < max(self._until, self._not_before):
            return False
        self._not_before = now + AGAIN_SECONDS
        return True

    def _has_changed(self) -> bool:
        seen, before = look(self._files), self._last
        self._last = seen
        if seen == self._told or seen != before:
            return False
        self._told = seen
        return True

    async def run(self) -> None:
        """Watch until cancelled. A callback that fails is logged; the watch goes on."""
        while True:
            await asyncio.sleep(self._interval)
            if self.poll():
                await self._tell()

    async def _tell(self) -> None:
        try:
            answer = self._on_change()
            if inspect.isawaitable(answer):
                await answer
        except Exception:
            LOG.exception("the change of configuration could not be handled")


def look(files: Iterable[Path]) -> Look:
    """Take down the facts of each file, and of each folder's files."""
    return {path: _facts(path) for file in files for path in (file, *_inside(file))}


def _facts(path: Path) -> Facts | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _inside(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError:  # not a folder, or not there
        return []
    return [path / name for name in names[:_ENTRIES]]
