"""An empty folder for a program to run in, which is gone afterwards, whoever is cancelled when."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

PREFIX: Final = "waterfall-check-"
_TRIES: Final = 20
_PAUSE: Final = 0.05


class Folder:
    """Made and removed in threads; removing it also keeps one from being made that is not yet.

    A cancel of whoever waits for `make` does not stop its thread, and what that returns is lost:
    so the folder remembers itself.
    """

    def __init__(self) -> None:
        """Begin without one."""
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._over = False

    def make(self) -> Path:
        """Make it, for this user alone. Raises OSError; also where it was removed already."""
        with self._lock:
            if self._over:
                raise FileNotFoundError("it is wanted no more")
            self._path = Path(tempfile.mkdtemp(prefix=PREFIX))
            return self._path

    def remove(self) -> None:
        """Remove it and all that is in it; what was just killed may add to it for a moment."""
        with self._lock:
            self._over = True
            if self._path is None:
                return
            for _ in range(_TRIES):
                shutil.rmtree(self._path, ignore_errors=True)
                if not self._path.exists():
                    return
                time.sleep(_PAUSE)
