"""Is the reply the JSON that was asked for, valid under its schema?

Schemas come from clients, so that validating is bounded: no reference is fetched, `pattern` is
not evaluated (a hostile one could stall the event loop), and after so many steps the check
abstains.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from gateway.core.chat import ChatRequest, Reply
from gateway.core.verdict import ABSTAIN, PASS, Finding

MAX_SCHEMA = 64 * 1024
MAX_TEXT = 256 * 1024
MAX_STEPS = 20_000
INVALID = Finding("fail", "schema_invalid", broken=True)

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
        sound = all(is_valid(text, schema) for text in texts)
    except TooMuchError:
        return ABSTAIN
    return PASS if sound else INVALID


def _schema(wanted: object) -> Mapping[str, Any] | None:
    inner = wanted.get("json_schema") if isinstance(wanted, Mapping) else None
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


def is_valid(text: str, schema: Mapping[str, Any] | None) -> bool:
    """Is `text` a JSON object (and valid under `schema`, where there is one)?

    Raises TooMuchError when that cannot be told within bounds.
    """
    if len(text) > MAX_TEXT:
        raise TooMuchError
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if schema is None:
        return isinstance(value, dict)
    validator = _validator(_written(schema))
    token = _steps.set(0)
    try:
        return bool(validator.is_valid(value))
    except (Unresolvable, RecursionError) as error:
        raise TooMuchError from error
    finally:
        _steps.reset(token)


def _written(schema: Mapping[str, Any]) -> str:
    try:
        written = json.dumps(schema)
    except RecursionError as error:
        raise TooMuchError from error
    if len(written) > MAX_SCHEMA:
        raise TooMuchError
    return written


@lru_cache(maxsize=256)
def _validator(written: str) -> Any:
    schema = json.loads(written)
    try:
        _Bounded.check_schema(schema)
    except (SchemaError, RecursionError) as error:
        raise TooMuchError from error
    return _Bounded(schema, registry=Registry())


def _counted(keyword: _Keyword) -> _Keyword:
    def step(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        taken = _steps.get(0) + 1
        if taken > MAX_STEPS:
            raise TooMuchError
        _steps.set(taken)
        return keyword(validator, value, instance, schema)

    return step


def _unread(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    """Leave a keyword alone."""


_Bounded: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        **{name: _counted(rule) for name, rule in Draft202012Validator.VALIDATORS.items()},
        "pattern": _unread,
        "patternProperties": _unread,
    },
)
