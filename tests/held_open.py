"""What this process holds open, by Linux's account of it."""

from __future__ import annotations

import contextlib
from pathlib import Path


def held_open(inside: Path | str) -> set[tuple[str, str]]:
    """Descriptor and target of each that begins with ``inside``: a folder, or ``pipe:``.

    A count of all of them would not do: others of this process come and go meanwhile. A file
    that is deleted counts.
    """
    held = set()
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed by now: the folder's own is
            held.add((each.name, str(each.readlink())))
    return {(number, target) for number, target in held if target.startswith(str(inside))}
