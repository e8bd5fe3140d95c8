"""Whose files are whose: a process locks its name, and a name nobody locks is a dead one's."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

LOCK = ".lock"
SLOTS, SPOOL = ".slots2", ".spool2"
OLDER_SLOTS, OLDER_SPOOL = ".slots", ".spool"
"""What files end in. Versions before this one cannot read its spool: they know no file that ends
so, and leave it for one that can. Its marks go with it, which are settled by what is in the spool.
Theirs are read here."""
MARKS = frozenset({SLOTS, OLDER_SLOTS})
KINDS = MARKS | {LOCK, SPOOL, OLDER_SPOOL}


@dataclass(frozen=True, slots=True)
class Owner:
    """A name in a folder, locked for as long as `lock` (a file descriptor) stays open.

    The lock is flock's: it goes with the process, however that ends. Keep the folder on a local
    disk.
    """

    folder: Path
    name: str
    lock: int

    @property
    def slots(self) -> Path:
        """Its marks of open calls."""
        return self.folder / f"{self.name}{SLOTS}"

    def marks(self) -> list[Path]:
        """Its files of marks that are there, an older version's too."""
        both = (self.folder / f"{self.name}{suffix}" for suffix in (OLDER_SLOTS, SLOTS))
        return [path for path in both if path.exists()]

    def segment(self, number: int) -> Path:
        """Its spool segment of that number."""
        return self.folder / f"{self.name}.{number:06d}{SPOOL}"

    def segments(self) -> list[Path]:
        """Its spool segments, oldest first."""
        found = [self.folder.glob(f"{self.name}.*{suffix}") for suffix in (OLDER_SPOOL, SPOOL)]
        return sorted(chain.from_iterable(found))

    def release(self) -> None:
        """Give the name up; its lock file goes when nothing else of its is left."""
        if not self.marks() and not self.segments():
            _lock_path(self.folder, self.name).unlink(missing_ok=True)
        os.close(self.lock)


def claim(folder: Path) -> Owner:
    """Make the folder (mode 0700) if need be, and lock a new name in it.

    Raises OSError when the folder cannot be made or written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        owner = _try_lock(folder, name)
        if owner is not None:
            return owner


def adopt(folder: Path) -> Iterator[Owner]:
    """Lock and yield each name whose process is dead; the living are left alone."""
    names = {path.name.split(".", 1)[0] for path in folder.iterdir() if path.suffix in KINDS}
    for name in sorted(names):
        owner = _try_lock(folder, name)
        if owner is not None:
            yield owner


def _lock_path(folder: Path, name: str) -> Path:
    return folder / f"{name}{LOCK}"


def _try_lock(folder: Path, name: str) -> Owner | None:
    path = _lock_path(folder, name)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    # Another process may have adopted and removed the file between our open and our lock: then
    # what we hold locks nothing that anybody else can see.
    with suppress(FileNotFoundError):
        if path.stat().st_ino == os.fstat(lock).st_ino:
            return Owner(folder, name, lock)
    os.close(lock)
    return None
