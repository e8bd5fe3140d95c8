"""Is the reply the JSON that was asked for, valid under its schema?

Schemas come from clients, so that validating is bounded: no reference is fetched, no pattern is
evaluated (a hostile one could stall the event loop), and after so many steps the check abstains.
It abstains too from a schema that is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry

from gateway.core.chat import ChatRequest, Reply
from gateway.core.verdict import ABSTAIN, PASS, Finding

MAX_SCHEMA = 64 * 1024
MAX_TEXT = 256 * 1024
MAX_STEPS = 20_000
"""Steps of one reply's validation: one for each keyword applied, and for each entry of what it is
applied to."""
MOST_TOLD = 300
"""Characters of what is told of a fault."""
INVALID = Finding("fail", "schema_invalid", broken=True)

_PRICES = {"$ref": 20, "$dynamicRef": 20}
"""What a keyword costs, in steps, where it is not one: to follow a reference takes long."""
_LEFT_OVER = ('"additionalProperties"', '"unevaluatedProperties"')
_steps: ContextVar[int] = ContextVar("steps")
_Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TooMuchError(Exception):
    """Validating would take more than its budget, or cannot be done."""


def reply_format(request: ChatRequest, reply: Reply) -> Finding:
    """Check every choice against `response_format`; a call of a tool is not held to it."""
    wanted = request.body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if not reply.complete or kind not in ("json_object", "json_schema"):
        return ABSTAIN
    schema = _schema(wanted) if kind == "json_schema" else None
    texts = [choice.text for choice in reply.choices if not choice.tool_calls]
    try:
        with budget():
            wrong = next((text for text in texts if not is_valid(text, schema)), None)
    except TooMuchError:
        return ABSTAIN
    return PASS if wrong is None else replace(INVALID, detail=fault(wrong, schema))


def _schema(wanted: object) -> Mapping[str, Any] | None:
    inner = wanted.get("json_schema") if isinstance(wanted, Mapping) else None
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


@contextmanager
def budget() -> Iterator[None]:
    """Bound all that is validated inside it, together."""
    token = _steps.set(0)
    try:
        yield
    finally:
        _steps.reset(token)


def is_valid(text: str, schema: Mapping[str, Any] | None) -> bool:
    """Is `text` a JSON object (and valid under `schema`, where there is one)?

    Raises TooMuchError when that cannot be told within the budget it is called in.
    """
    if len(text) > MAX_TEXT:
        raise TooMuchError
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    if schema is None:
        return isinstance(value, dict)
    validator = _validator(_written(schema))
    try:
        return bool(validator.is_valid(value))
    except Exception as error:  # a client's schema may be any nonsense, and fail in any way
        raise TooMuchError from error


def fault(text: str, schema: Mapping[str, Any] | None) -> str:
    """Say in one sentence what is wrong with a text that `is_valid` does not take; empty when
    that would take too long. It may quote the text: it is for its own author."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        return f"it is not JSON ({error})"[:MOST_TOLD]
    except RecursionError:
        return "it is nested too deep"
    if schema is None:
        return "it is not a JSON object"
    try:
        with budget():
            found = next(iter(_validator(_written(schema)).iter_errors(value)), None)
    except Exception:  # noqa: BLE001 (as in is_valid: a client's schema may fail in any way)
        return ""
    if found is None:
        return ""
    where = "/".join(map(str, found.absolute_path))
    return f"its JSON is not valid at {where or 'its root'}: {found.message}"[:MOST_TOLD]


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _written(schema: Mapping[str, Any]) -> str:
    """Write a schema down, without the dialect it names; refuse what could not be bounded."""
    try:
        written = json.dumps({key: value for key, value in schema.items() if key != "$schema"})
    except RecursionError as error:
        raise TooMuchError from error
    # A dialect named further in would be read by that dialect's own, unbounded, validator.
    if len(written) > MAX_SCHEMA or '"$schema"' in written:
        raise TooMuchError
    # To know which properties are left over, the library evaluates these patterns itself.
    if '"patternProperties"' in written and any(name in written for name in _LEFT_OVER):
        raise TooMuchError
    return written


@lru_cache(maxsize=256)
def _validator(written: str) -> Any:
    return _Bounded(json.loads(written), registry=Registry())


def _spend(steps: int) -> None:
    taken = _steps.get() + steps
    if taken > MAX_STEPS:
        raise TooMuchError
    _steps.set(taken)


def _size(value: object) -> int:
    return len(value) if isinstance(value, dict | list) else 0


def _counted(keyword: _Keyword, price: int) -> _Keyword:
    def step(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _spend(price + _size(value) + _size(instance))
        return keyword(validator, value, instance, schema)

    return step


def _unique(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
    """Compare each item with each other one, if there are few enough."""
    _spend(_size(instance) ** 2 // 2)
    return Draft202012Validator.VALIDATORS["uniqueItems"](validator, value, instance, schema)


def _unread(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    """Leave a keyword alone."""


_Bounded: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        **{
            name: _counted(rule, _PRICES.get(name, 1))
            for name, rule in Draft202012Validator.VALIDATORS.items()
        },
        "pattern": _unread,
        "patternProperties": _unread,
        "uniqueItems": _unique,
    },
)
