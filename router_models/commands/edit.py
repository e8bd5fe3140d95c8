"""Puts a route's threshold, and a tier's bar, into a configuration file, and leaves every other
byte as it was."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from gateway.app import read_settings
from gateway.config import ConfigError, Settings
from gateway.config.environment import mask
from gateway.core.plan import Tier
from gateway.core.verdict import Bar
from router_models.commands.common import UseError

_BY_HAND = "set routes.{route}.threshold to {value} by hand"


@dataclass(frozen=True, slots=True)
class BarEdit:
    """What a tier's bar is to say; `confidence` is the combiner's folder, from the file's own."""

    tier: str
    accept: float
    min_gain: float
    confidence: str
    checks: tuple[str, ...]

    @property
    def values(self) -> dict[str, str]:
        """The keys and what to write for them."""
        return {
            "accept": _number(self.accept),
            "min_gain": _number(self.min_gain),
            "confidence": json.dumps(self.confidence),
            "checks": f"[{', '.join(self.checks)}]",
        }


def write_threshold(path: Path, route: str, threshold: float, *, pin: bool = False) -> None:
    """Set `routes.ROUTE.threshold` in the file and, with `pin`, `reference: artefact` beside it.

    A list keeps its other thresholds; a live form is replaced. The edited file must load, and come
    to the same settings but for these, before it takes the old one's place in one step. Raises
    UseError when it cannot be edited so, or when the result would not be sound.
    """
    value = _number(threshold)
    by_hand = _BY_HAND.format(route=route, value=value)
    edited = _put(_read(path), ("routes", route), "threshold", value, by_hand)
    if pin:
        edited = _put(edited, ("routes", route), "reference", "artefact", by_hand)
    _swap(path, edited, by_hand, lambda after: _is_set(after, route, value), _without(route))


def write_policy(
    path: Path, route: str, threshold: float, bar: BarEdit, *, pin: bool = False
) -> None:
    """Set a route's threshold and its first tier's bar, as `write_threshold` does."""
    value = _number(threshold)
    lines = ", ".join(f"{key}: {each}" for key, each in bar.values.items())
    by_hand = (
        f"set routes.{route}.threshold to {value} and tiers.{bar.tier}.bar to {{{lines}}} by hand"
    )
    edited = _put(_read(path), ("routes", route), "threshold", value, by_hand)
    if pin:
        edited = _put(edited, ("routes", route), "reference", "artefact", by_hand)
    if _at(edited, ("tiers", bar.tier, "bar")) is None:
        edited = _put(edited, ("tiers", bar.tier), "bar", f"{{{lines}}}", by_hand)
    else:
        for key, each in bar.values.items():
            if key == "checks" and _listed(edited, ("tiers", bar.tier, "bar", key)) == bar.checks:
                continue  # however they are laid out
            edited = _put(edited, ("tiers", bar.tier, "bar"), key, each, by_hand)

    def is_meant(after: Settings) -> bool:
        found = after.tiers[bar.tier].bar
        put = {spec.name for spec in found.checks}
        sounds = (found.accept, found.min_gain) == (float(_number(bar.accept)), bar.min_gain)
        return (
            _is_set(after, route, value)
            and sounds
            and found.combiner is not None
            and put >= set(bar.checks)
        )

    _swap(path, edited, by_hand, is_meant, _without(route, bar.tier))


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


def _is_set(after: Settings, route: str, value: str) -> bool:
    return after.routes[route].thresholds[:1] == (float(value),)


def _at(text: str, trail: Sequence[str]) -> yaml.Node | None:
    node: yaml.Node | None = yaml.compose(mask(text.removeprefix("\ufeff")), Loader=yaml.BaseLoader)
    for key in trail:
        node = _child(node, key)
    return node


def _listed(text: str, trail: Sequence[str]) -> tuple[str, ...]:
    """The names in a list, however it is laid out; none where there is no list."""
    node = _at(text, trail)
    return tuple(each.value for each in node.value) if isinstance(node, yaml.SequenceNode) else ()


def _put(text: str, trail: Sequence[str], key: str, value: str, by_hand: str) -> str:
    """Give a mapping's key a value, in its place or before all others. Of a list of thresholds the
    first is replaced, any other list as a whole."""
    bare = text.removeprefix("\ufeff")
    mark = text[: len(text) - len(bare)]
    node = _at(text, trail)
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise UseError(f"the {trail[0][:-1]} cannot be found in the text; {by_hand}.")
    found = _child(node, key)
    if found is None:
        # Before the first key: whatever stands behind it, comments included, stays behind it.
        at = node.value[0][0].start_mark
        line = "\r\n" if "\r\n" in text else "\n"
        gap = ", " if node.flow_style else f"{line}{' ' * at.column}"
        return f"{mark}{bare[: at.index]}{key}: {value}{gap}{bare[at.index :]}"
    if isinstance(found, yaml.SequenceNode) and found.value and key == "threshold":
        found = found.value[0]
    if isinstance(found, yaml.CollectionNode) and not found.flow_style:
        raise UseError(f"the {key} is spread over several lines; {by_hand}.")
    return f"{mark}{bare[: found.start_mark.index]}{value}{bare[found.end_mark.index :]}"


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((below for name, below in node.value if name.value == key), None)


def _swap(
    path: Path,
    edited: str,
    by_hand: str,
    is_meant: Callable[[Settings], bool],
    stripped: Callable[[Settings], Settings],
) -> None:
    """Put the edited file in place once it is known to say what is meant and nothing else: what
    is `stripped` of that is as before."""
    before = read_settings(path, os.environ)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".yaml")
    draft = path.parent / Path(name).name  # relative paths in it start from where they did
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(edited.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(path.stat().st_mode & 0o7777)
        after = _read_draft(draft, path, by_hand)
        if not is_meant(after) or stripped(before) != stripped(after):
            raise UseError(f"an edit would change more than the threshold; {by_hand}.")
        draft.replace(path.resolve())
    finally:
        draft.unlink(missing_ok=True)


def _read_draft(draft: Path, path: Path, by_hand: str) -> Settings:
    """Read the edited file as what it is to become. Raises UseError."""
    try:
        return read_settings(draft, os.environ)
    except ConfigError as error:
        faults = "; ".join(f"{each.path}: {each.message}" for each in error.problems)
        raise UseError(f"{path} would no longer be sound ({faults}); {by_hand}.") from error


def _without(route: str, tier: str = "") -> Callable[[Settings], Settings]:
    """Leave out what an edit changes: one route's threshold, one tier's bar."""

    def barless(each: Tier) -> Tier:
        return replace(each, bar=Bar()) if each.name == tier else each

    def stripped(settings: Settings) -> Settings:
        routes = {
            name: replace(each, tiers=tuple(map(barless, each.tiers)))
            for name, each in settings.routes.items()
        }
        # A live form's target goes with the threshold, and a reference may be pinned.
        routes[route] = replace(routes[route], thresholds=(), target=None, reference="own")
        tiers = {name: barless(each) for name, each in settings.tiers.items()}
        return replace(settings, routes=routes, tiers=tiers, digest="", warnings=(), files=())

    return stripped
