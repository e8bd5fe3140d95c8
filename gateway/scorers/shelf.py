"""Several versions of a scorer side by side, and a file that says which one is in force.

A shelf is a folder with an artefact in each sub-folder, and `in-force`, whose content names one of
them. That file is put in place whole, so a reader sees the old version or the new one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gateway.scorers.artefact import ArtefactError

IN_FORCE: Final = "in-force"
_NAME: Final = re.compile(r"[A-Za-z0-9_@+-][A-Za-z0-9._@+-]{0,127}")
_MOST: Final = 1_000


def resolve(folder: Path) -> Path:
    """Return an artefact's folder: the one in force where `folder` is a shelf, else itself.

    Raises ArtefactError when a shelf has nothing in force, or names what is not there.
    """
    if not is_shelf(folder):
        return folder
    name = in_force(folder)
    if not (folder / name).is_dir():
        raise ArtefactError(f"{folder / IN_FORCE} names {name!r}, which is not on the shelf.")
    return folder / name


def is_shelf(folder: Path) -> bool:
    """Is this a shelf?"""
    return (folder / IN_FORCE).is_file()


def in_force(shelf: Path) -> str:
    """Return the name of the version in force. Raises ArtefactError."""
    path = shelf / IN_FORCE
    try:
        with path.open("rb") as file:
            written = file.read(_MOST)
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}.") from error
    name = written.decode("utf-8", "replace").strip()
    if not _NAME.fullmatch(name):
        raise ArtefactError(f"{path} must hold the name of one of the shelf's folders.")
    return name
