"""YAML text to plain data with the line of every value: YAML 1.2's scalars, no tags, no tricks.

Stricter than a general loader where that prevents accidents: a key given twice is an error, `off`
and `no` are words, dates and `1:30` are text, and neither nesting nor aliases can make a small
file large.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gateway.config.environment import Expanded, expand, has_masks, mask
from gateway.config.problems import ConfigError, Problem, Trail, dotted

SIZE_LIMIT = 1 << 20
"""Bytes of one file."""
DEPTH_LIMIT = 32
NODE_LIMIT = 50_000
"""Values of one file, each counted as often as an alias repeats it."""

_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq")}
_INT = re.compile(r"[-+]?[0-9]{1,30}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_FORBIDDEN = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_QUOTED = re.compile(r"'[^'\s]{4,}'|\"[^\"\s]{4,}\"")


@dataclass(slots=True)
class Document:
    """A file as data. `lines` and `hidden` (what came from the environment) go by trail;
    `problems` are those found while reading."""

    name: str
    data: Any = None
    lines: dict[Trail, int] = field(default_factory=dict)
    hidden: set[Trail] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, trail: Trail, message: str) -> None:
        """Note a problem, at the nearest line known; only the first at each place counts."""
        path = dotted(trail)
        if all(known.path != path for known in self.problems):
            self.problems.append(Problem(self.name, path, message, self._line(trail)))

    def place(self, trail: Trail) -> str:
        """Say where something stands: file, line and path, as a problem there would."""
        return str(Problem(self.name, dotted(trail), "", self._line(trail)))

    def _line(self, trail: Trail) -> int | None:
        ends = range(len(trail), -1, -1)
        return next((self.lines[trail[:end]] for end in ends if trail[:end] in self.lines), None)


def read(source: str | bytes, name: str, environ: Mapping[str, str] | None = None) -> Document:
    """Read one YAML document; with `environ`, references in its values are expanded.

    Raises ConfigError, naming file and line, when it is not well-formed YAML of a sane size.
    Everything else that is wrong is left in the document's problems.
    """
    text = _decoded(source, name)
    if environ is not None:
        if has_masks(text):
            raise _refused(name, "contains a private-use character (U+E000 to U+E002)")
        text = mask(text)
    document = Document(name)
    node = _composed(text, name)
    if node is None:
        raise _refused(name, "the file is empty")
    _Builder(document, environ).build(node, (), 0)
    return document


def read_file(path: Path) -> bytes:
    """Return a file's bytes, and of one too large no more than it takes to say so.

    Raises OSError, or ValueError for what cannot be a path.
    """
    with path.open("rb") as file:
        return file.read(SIZE_LIMIT + 1)


def scalar(text: str) -> Any:
    """Resolve an unquoted scalar: true, false, null, a number, or text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _refused(name: str, message: str, line: int | None = None) -> ConfigError:
    return ConfigError([Problem(name, "", message, line)])


def _decoded(source: str | bytes, name: str) -> str:
    try:
        raw = source.encode() if isinstance(source, str) else source
        if len(raw) > SIZE_LIMIT:
            raise _refused(name, f"larger than {SIZE_LIMIT >> 20} MiB")
        text = raw.decode("utf-8-sig")
    except UnicodeError:
        raise _refused(name, "not UTF-8 text") from None
    if bad := _FORBIDDEN.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise _refused(name, f"contains the character U+{ord(bad.group()):04X}", line)
    return text


def _composed(text: str, name: str) -> yaml.Node | None:
    try:
        depth = 0
        # Events come one by one, without recursion: a tower of brackets ends here.
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH_LIMIT:
                raise _refused(name, f"nested more than {DEPTH_LIMIT} deep", _line(event))
        return yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        # The mark's own snippet may show a secret, and so may a long quotation.
        told = _QUOTED.sub("'...'", error.problem or "not well-formed")
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _refused(name, f"not valid YAML: {told}", line) from None
    except (yaml.YAMLError, ValueError, OverflowError):  # an escape for no character there is
        raise _refused(name, "not valid YAML") from None


def _line(thing: Any) -> int:
    """Return the line, counted from 1, on which an event or a node begins."""
    return int(thing.start_mark.line) + 1


class _Builder:
    """Walks the nodes of one document, counting them."""

    def __init__(self, document: Document, environ: Mapping[str, str] | None) -> None:
        self._document = document
        self._environ = environ
        self._nodes = 0

    def build(self, node: yaml.Node, trail: Trail, depth: int) -> None:
        """Build the whole document."""
        self._document.data = self._value(node, trail, depth)

    def _value(self, node: yaml.Node, trail: Trail, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > NODE_LIMIT or depth > DEPTH_LIMIT:
            raise _refused(self._document.name, "its aliases make it too large")
        self._document.lines.setdefault(trail, _line(node))
        if node.tag not in _PLAIN_TAGS:
            self._document.problem(trail, "YAML tags are not allowed here")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, trail, depth)
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return [self._value(item, (*trail, i), depth + 1) for i, item in items]
        # One parser says None for a plain scalar, the other an empty string.
        return self._scalar(node.value, trail, plain=not getattr(node, "style", None))

    def _mapping(self, node: yaml.MappingNode, trail: Trail, depth: int) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in node.value:
            line = _line(key)
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _PLAIN_TAGS:
                self._document.problem(trail, "a key must be plain text")
                continue
            if "${" in key.value or has_masks(key.value):
                self._document.problem(trail, "a reference cannot be a key")
                continue
            below = (*trail, key.value)
            if key.value in built:
                first = self._document.lines[below]
                self._document.lines[below] = line
                self._document.problem(below, f"given twice (first on line {first})")
                continue
            self._document.lines[below] = line
            built[key.value] = self._value(value, below, depth + 1)
        return built

    def _scalar(self, text: str, trail: Trail, *, plain: bool) -> Any:
        if self._environ is not None:
            try:
                text = expand(text, self._environ)
                text.encode()
            except UnicodeEncodeError:
                self._document.problem(trail, "the environment's value is not UTF-8 text")
                return None
            except ValueError as error:
                self._document.problem(trail, str(error))
                return None
        if isinstance(text, Expanded):
            self._document.hidden.add(trail)
            return text
        return scalar(text) if plain else text
