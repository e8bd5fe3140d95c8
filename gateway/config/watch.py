"""Tells when a configuration's files have changed, by looking: no native notifications, which
network file systems and mounted config maps do not send.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

LOG = logging.getLogger(__name__)
_ENTRIES = 1_000
"""As many files of a watched folder are looked at."""

Facts = tuple[int, int, int]
Look = Mapping[Path, Facts | None]
"""Each file's (modification time in ns, size, inode), None while it is not there."""
OnChange = Callable[[], Awaitable[object] | object]


class Watcher:
    """Calls back once after each change of its files, when they have come to rest.

    A change is told when two looks in a row agree, so that a half-written file is left alone;
    a file that is put in another's place, or vanishes, has changed too.
    """

    def __init__(
        self, files: Iterable[Path], on_change: OnChange, *, interval: float = 1.0
    ) -> None:
        """`interval` is the seconds between two looks; `on_change` may be a coroutine function."""
        self._on_change = on_change
        self._interval = interval
        self._told: Look = {}
        self._last: Look = {}
        self.follow(files)

    def follow(self, files: Iterable[Path]) -> None:
        """Watch these files (and folders' files) from now on.

        A file watched already counts as last seen: a change made while the new list was on its
        way is still told.
        """
        self._files = tuple(files)
        before = self._last
        now = look(self._files)
        self._told = self._last = {path: before.get(path, facts) for path, facts in now.items()}

    def poll(self) -> bool:
        """Look once: has something changed since last told, and come to rest?"""
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
