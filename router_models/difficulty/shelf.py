"""Artefacts on disk: written under a label that means one thing, and put in force one at a time."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.scorers import ArtefactError, load
from gateway.scorers.artefact import MANIFEST, WEIGHTS
from gateway.scorers.shelf import IN_FORCE, in_force, is_shelf
from router_models.difficulty.card import write_card
from router_models.difficulty.export import write_artefact
from router_models.difficulty.formats import DataError
from router_models.difficulty.train import Trained

CARD: Final = "card.md"
HISTORY: Final = "history.jsonl"
_LABEL: Final = re.compile(r"[A-Za-z0-9._-]{1,64}@[A-Za-z0-9._-]{1,32}")
_NUMBERED: Final = re.compile(r"(.*@)(\d+)")


@dataclass(frozen=True, slots=True)
class Version:
    """An artefact on a shelf: its folder's name, and what its manifest says. `fault` says why the
    gateway would refuse it."""

    name: str
    label: str
    provenance: Mapping[str, Any]
    in_force: bool
    fault: str = ""


# --------------------------------------------------------------------------- writing


def next_label(folder: Path) -> str:
    """Return the label for a new artefact in this folder: one version up from what is there."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", folder.resolve().name)[:64] or "scorer"
    label = _manifest(folder).get("label", "")
    found = _NUMBERED.fullmatch(str(label))
    return f"{found[1]}{int(found[2]) + 1}" if found else f"{name}@1"


def check_label(label: str) -> None:
    """Raise DataError for what is no label."""
    if not _LABEL.fullmatch(label):
        raise DataError(f"--label {label!r}: must be NAME@VERSION, of letters, digits and ._-")


def check_folder(folder: Path) -> None:
    """Raise DataError when a folder is no place for an artefact: a shelf, not ours, or nowhere that
    anything can be written."""
    if is_shelf(folder):
        raise DataError(f"{folder} is a shelf: name a folder on it, like {folder / 'candidate'}.")
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; --out names a folder.")
    strange = _strangers(folder)
    if strange:
        raise DataError(f"{folder} holds {strange[0]}, which is no part of an artefact.")
    above = next(each for each in folder.resolve().parents if each.exists())
    try:
        with tempfile.TemporaryDirectory(dir=above):
            pass
    except OSError as error:
        raise DataError(
            f"{folder}: nothing can be written to {above} ({error.strerror})."
        ) from error


def write(
    folder: Path,
    trained: Trained,
    label: str,
    provenance: Mapping[str, Any],
    about: str,
    *,
    force: bool = False,
) -> bool:
    """Write artefact and card, in place of what was there; False when the very same was there.

    Raises DataError when another artefact has the label already, unless `force`, and as
    check_folder.
    """
    check_folder(folder)
    before = _manifest(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        made = Path(beside) / "made"
        write_artefact(made, trained.model, label, provenance, trained.table, trained.texts)
        if _same(before, _manifest(made)):
            return False
        if before.get("label") == label and not force:
            raise DataError(
                f"{folder} holds another {label}: headers and ledger could not tell the two "
                f"apart. Give a new --label (such as {next_label(folder)}), or --force."
            )
        (made / CARD).write_text(write_card(label, trained, provenance, about), encoding="utf-8")
        load(made)
        made.chmod(0o755)
        if folder.exists():
            folder.rename(Path(beside) / "before")
        made.rename(folder)
    return True


def _strangers(folder: Path) -> list[str]:
    if not folder.exists():
        return []
    return sorted({each.name for each in folder.iterdir()} - {MANIFEST, WEIGHTS, CARD})


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """The same in everything but the date?"""

    def timeless(manifest: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in manifest.items() if key != "digest"}
        provenance = dict(manifest.get("provenance") or {})
        return kept | {"provenance": {k: v for k, v in provenance.items() if k != "date"}}

    return bool(one) and timeless(one) == timeless(other)


def _manifest(folder: Path) -> dict[str, Any]:
    """What an artefact says of itself; empty where there is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


# --------------------------------------------------------------------------- a shelf


def check_shelf(shelf: Path) -> None:
    """Raise DataError when this is no place for a shelf: a file, or an artefact's own folder."""
    if shelf.exists() and not shelf.is_dir():
        raise DataError(f"{shelf} is a file; --shelf names a folder.")
    if (shelf / MANIFEST).exists():
        raise DataError(
            f"{shelf} is an artefact's own folder: a shelf holds such folders. Name another one, "
            f"like {shelf.parent / 'shelf'}."
        )


def versions(shelf: Path) -> list[Version]:
    """Return what is on a shelf, by name. Raises DataError when it is no folder."""
    if not shelf.is_dir():
        raise DataError(f"{shelf}: there is no such folder.")
    now = in_force(shelf) if is_shelf(shelf) else None
    found = []
    for folder in sorted(shelf.iterdir()):
        if not (folder / MANIFEST).is_file():
            continue
        manifest, fault = _manifest(folder), ""
        try:
            load(folder)
        except ArtefactError as error:
            fault = str(error)
        found.append(
            Version(
                folder.name,
                str(manifest.get("label", "?")),
                manifest.get("provenance") or {},
                folder.name == now,
                fault,
            )
        )
    return found


def put(shelf: Path, candidate: Path, note: Mapping[str, Any], *, at: str) -> Path:
    """Put an artefact in force: onto the shelf, if it is not there yet, then `in-force` to it.

    `note` goes into the history with the time `at`. Returns its folder on the shelf. Raises
    DataError when another artefact has its name there, and as check_shelf.
    """
    check_shelf(shelf)
    label = load(candidate).label
    shelf.mkdir(parents=True, exist_ok=True)
    target = candidate if candidate.resolve().parent == shelf.resolve() else shelf / label
    if target != candidate:
        _copy(candidate, target)
    _write_history(shelf, {"at": at, "in_force": target.name, "label": label, **note})
    _replace(shelf / IN_FORCE, f"{target.name}\n")
    return target


def rollback(shelf: Path, *, at: str) -> tuple[str, str]:
    """Put the version in force again that was before; returns the names of both, old and new.

    Raises DataError when there is none, or when it is no longer to be had.
    """
    if not is_shelf(shelf):
        raise DataError(f"{shelf} is no shelf: nothing on it is in force.")
    now = in_force(shelf)
    before = _before(shelf, now)
    if before is None:
        raise DataError(f"{shelf}: nothing was in force before {now}.")
    label = load(shelf / before).label
    told = {"at": at, "in_force": before, "label": label, "rolled_back": now}
    _write_history(shelf, told)
    _replace(shelf / IN_FORCE, f"{before}\n")
    return now, before


def _before(shelf: Path, now: str) -> str | None:
    """What was in force before: promotions stack up, and a roll-back takes the last one off."""
    stack: list[str] = []
    for told in history(shelf):
        if told.get("rolled_back"):
            stack = stack[:-1]
        elif not stack or stack[-1] != told["in_force"]:
            stack.append(told["in_force"])
    below = stack[:-1] if stack and stack[-1] == now else stack
    return below[-1] if below else None


def history(shelf: Path) -> list[dict[str, Any]]:
    """Return what was put in force, oldest first. Raises DataError when the file is garbled."""
    path = shelf / HISTORY
    if not path.exists():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [{**line, "in_force": str(line["in_force"])} for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: a line is not a record of what was in force.") from error


def _copy(candidate: Path, target: Path) -> None:
    if target.exists():
        if _manifest(target) != _manifest(candidate):
            raise DataError(
                f"{target} holds another artefact of this label; train the candidate under a "
                "new --label."
            )
        return
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".candidate.") as beside:
        made = Path(beside) / "made"
        made.mkdir()
        for name in (MANIFEST, WEIGHTS, CARD):
            if (candidate / name).is_file():
                shutil.copyfile(candidate / name, made / name)
        load(made)
        made.rename(target)


def _write_history(shelf: Path, record: Mapping[str, Any]) -> None:
    with (shelf / HISTORY).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, text: str) -> None:
    """Write a file whole, so that nobody reads half of it."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
