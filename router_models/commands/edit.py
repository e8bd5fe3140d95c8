"""Puts a route's threshold into a configuration file, and leaves every other byte as it was."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import yaml

from gateway.app import read_settings
from gateway.config import ConfigError, Settings
from gateway.config.environment import mask
from router_models.commands.common import UseError

_BY_HAND = "set routes.{route}.threshold to {value} by hand"


def write_threshold(path: Path, route: str, threshold: float, *, pin: bool = False) -> None:
    """Set `routes.ROUTE.threshold` in the file and, with `pin`, `reference: artefact` beside it.

    A list keeps its other thresholds; a live form is replaced. The edited file must load, and come
    to the same settings but for these, before it takes the old one's place in one step. Raises
    UseError when it cannot be edited so, or when the result would not be sound.
    """
    value = f"{threshold:.6f}".rstrip("0").rstrip(".")
    edited = _put(path.read_bytes().decode("utf-8"), route, "threshold", value)
    if pin:
        edited = _put(edited, route, "reference", "artefact")
    _swap(path, edited, route, value, read_settings(path, os.environ))


def _put(text: str, route: str, key: str, value: str) -> str:
    """Give a route's key a value, in its place or before all others."""
    bare = text.removeprefix("\ufeff")
    mark = text[: len(text) - len(bare)]
    root = yaml.compose(mask(bare), Loader=yaml.BaseLoader)
    node = _child(_child(root, "routes"), route)
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise UseError(f"the route cannot be found in the text; {_by_hand(route, value)}.")
    found = _child(node, key)
    if found is None:
        # Before the first key: whatever stands behind it, comments included, stays behind it.
        at = node.value[0][0].start_mark
        line = "\r\n" if "\r\n" in text else "\n"
        gap = ", " if node.flow_style else f"{line}{' ' * at.column}"
        return f"{mark}{bare[: at.index]}{key}: {value}{gap}{bare[at.index :]}"
    if isinstance(found, yaml.SequenceNode) and found.value:
        found = found.value[0]
    if isinstance(found, yaml.CollectionNode) and not found.flow_style:
        raise UseError(f"the {key} is spread over several lines; {_by_hand(route, value)}.")
    return f"{mark}{bare[: found.start_mark.index]}{value}{bare[found.end_mark.index :]}"


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((below for name, below in node.value if name.value == key), None)


def _swap(path: Path, edited: str, route: str, value: str, before: Settings) -> None:
    """Put the edited file in place once it is known to say what is meant and nothing else."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".yaml")
    draft = path.parent / Path(name).name  # relative paths in it start from where they did
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(edited.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(path.stat().st_mode & 0o7777)
        after = _read(draft, path, _by_hand(route, value))
        changed = after.routes[route].thresholds
        if changed[:1] != (float(value),) or not _same_but(before, after, route):
            raise UseError(
                f"an edit would change more than the threshold; {_by_hand(route, value)}."
            )
        draft.replace(path.resolve())
    finally:
        draft.unlink(missing_ok=True)


def _read(draft: Path, path: Path, by_hand: str) -> Settings:
    """Read the edited file as what it is to become. Raises UseError."""
    try:
        return read_settings(draft, os.environ)
    except ConfigError as error:
        faults = "; ".join(f"{each.path}: {each.message}" for each in error.problems)
        raise UseError(f"{path} would no longer be sound ({faults}); {by_hand}.") from error


def _same_but(before: Settings, after: Settings, route: str) -> bool:
    """Do both say the same, but for what one route's threshold is?"""

    def stripped(settings: Settings) -> Settings:
        routes = dict(settings.routes)
        # A live form's target goes with the threshold, and a reference may be pinned.
        routes[route] = replace(routes[route], thresholds=(), target=None, reference="own")
        return replace(settings, routes=routes, digest="", warnings=(), files=())

    return stripped(before) == stripped(after)


def _by_hand(route: str, value: str) -> str:
    return _BY_HAND.format(route=route, value=value)
