"""A valid instance of a JSON schema: what a model in structured-output mode would write."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any

_DEEP = 6
_FORMATS = {
    "date": "2026-11-22",
    "date-time": "2026-11-22T09:30:00Z",
    "time": "09:30:00Z",
    "email": "ada@example.org",
    "uuid": "0b4f8a86-52b0-4f0e-9a44-3f1d2c5b7e60",
    "uri": "https://example.org/a",
    "ipv4": "192.0.2.1",
    "hostname": "example.org",
}
_WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "harbour")

Schema = Mapping[str, Any]


def instance(schema: object, random: Random) -> Any:
    """Make a value that the schema accepts.

    It knows type, enum, const, properties, required, items, prefixItems, bounds of length, size
    and value, multipleOf, common formats, local $ref, anyOf, oneOf and allOf; `pattern`, `not`
    and conditions are beyond it.
    """
    root = schema if isinstance(schema, Mapping) else {}
    return _make(root, root, random, 0)


def _make(schema: object, root: Schema, random: Random, depth: int) -> Any:
    if not isinstance(schema, Mapping):
        return True  # `true` accepts everything
    schema = _resolved(schema, root, random, depth)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return random.choice(list(schema["enum"]))
    kind = _kind(schema)
    if kind == "object":
        return _object(schema, root, random, depth)
    if kind == "array":
        return _array(schema, root, random, depth)
    if kind in ("integer", "number"):
        return _number(schema, random, whole=kind == "integer")
    if kind == "boolean":
        return random.random() < 0.5
    return None if kind == "null" else _string(schema, random)


def _resolved(schema: Schema, root: Schema, random: Random, depth: int) -> Schema:
    """Follow references and settle on one alternative, the first of which is taken when deep."""
    for _ in range(32):
        merged = {key: value for key, value in schema.items() if key not in _COMBINING}
        if isinstance(schema.get("$ref"), str):
            merged = _merge(merged, _at(root, schema["$ref"]))
        for part in schema.get("allOf") or ():
            merged = _merge(merged, part)
        for word in ("anyOf", "oneOf"):
            if choices := schema.get(word):
                shallow = [c for c in choices if not (isinstance(c, Mapping) and "$ref" in c)]
                picks = (shallow or choices) if depth >= _DEEP else choices
                merged = _merge(merged, random.choice(list(picks)))
        if not _COMBINING & merged.keys():
            return merged
        schema = merged
    return {}


_COMBINING = frozenset({"$ref", "allOf", "anyOf", "oneOf"})


def _merge(left: Schema, right: object) -> dict[str, Any]:
    if not isinstance(right, Mapping):
        return dict(left)
    merged = {**left, **right}
    properties = {**(left.get("properties") or {}), **(right.get("properties") or {})}
    required = [*(left.get("required") or ()), *(right.get("required") or ())]
    if properties:
        merged["properties"] = properties
    if required:
        merged["required"] = required
    return merged


def _at(root: Schema, reference: str) -> object:
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _object(schema: Schema, root: Schema, random: Random, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    required = list(schema.get("required") or ())
    names = required if depth >= _DEEP else [*properties, *required]
    return {
        name: _make(properties.get(name, {}), root, random, depth + 1)
        for name in dict.fromkeys(names)
    }


def _array(schema: Schema, root: Schema, random: Random, depth: int) -> list[Any]:
    fixed = schema.get("prefixItems") or ()
    least = int(schema.get("minItems", 0))
    wanted = least if depth >= _DEEP else max(least, 1 + random.randrange(2))
    count = min(wanted, int(schema.get("maxItems", wanted)))
    shapes = [*fixed, *[schema.get("items", {})] * max(count - len(fixed), 0)]
    made = [_make(shape, root, random, depth + 1) for shape in shapes]
    if not schema.get("uniqueItems"):
        return made
    tries = 0
    unique = _unique(made)
    while len(unique) < count and tries < 50:
        tries += 1
        unique = _unique([*unique, _make(schema.get("items", {}), root, random, depth + 1)])
    return unique


def _unique(values: list[Any]) -> list[Any]:
    return [value for place, value in enumerate(values) if value not in values[:place]]


def _number(schema: Schema, random: Random, *, whole: bool) -> int | float:
    low, high = _bounds(schema)
    step = schema.get("multipleOf") or 0
    if whole and not step:
        step = 1
    if step:
        first, last = math.ceil(low / step), math.floor(high / step)
        first += first * step in _outside(schema)
        last -= last * step in _outside(schema)
        made = random.randint(first, max(first, last)) * step
        return int(made) if float(made).is_integer() else made
    drawn = low + (high - low) * random.uniform(0.1, 0.9)
    short = round(drawn, 2)
    return short if low < short < high else drawn


def _outside(schema: Schema) -> tuple[object, object]:
    return schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")


def _bounds(schema: Schema) -> tuple[float, float]:
    lows = [schema[key] for key in ("minimum", "exclusiveMinimum") if _is_number(schema.get(key))]
    highs = [schema[key] for key in ("maximum", "exclusiveMaximum") if _is_number(schema.get(key))]
    low = max(lows) if lows else (min(highs) - 100 if highs else 0)
    return low, min(highs) if highs else low + 100


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _string(schema: Schema, random: Random) -> str:
    known = _FORMATS.get(str(schema.get("format")))
    if known is not None:
        return known
    text = random.choice(_WORDS)
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    while len(text) < least:
        text += " " + random.choice(_WORDS)
    return text if most is None else text[: int(most)]
