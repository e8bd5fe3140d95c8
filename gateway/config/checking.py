"""Holds a document against its models, and turns what does not fit into problems."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from itertools import takewhile
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from gateway.config.problems import Trail, Unsupported, is_secretive, nearest, shown
from gateway.config.text import Document

Model = TypeVar("Model", bound=BaseModel)

_SHAPES = {
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "missing": "is required",
}


def at(document: Document, trail: Trail) -> Any:
    """Return what the document has there, None when it has nothing."""
    value = document.data
    for step in trail:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def check(document: Document, model: type[Model], trail: Trail) -> Model | None:
    """Read what stands there as `model`, and note what does not fit.

    The rest is read without it, so that later checks find their own problems in the same run;
    None when what is left will not do.
    """
    given = at(document, trail)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        for fault in faults:
            _note(document, model, trail, fault)
        with suppress(ValidationError):
            return model.model_validate(_without(given, [fault["loc"] for fault in faults]))
        return None


def _without(value: Any, places: list[Trail]) -> Any:
    """Copy the value without what stands at these places; a fault in a list costs the list."""
    kept = deepcopy(value)
    for place in places:
        names = list(takewhile(lambda step: isinstance(step, str), place))
        holder = kept
        for step in names[:-1]:
            holder = holder.get(step) if isinstance(holder, dict) else None
        if names and isinstance(holder, dict):
            holder.pop(names[-1], None)
    return kept


def section(document: Document, model: type[Model], name: str) -> Model | None:
    """Read a top-level section that may be left out."""
    if isinstance(document.data, dict) and name not in document.data:
        return model()
    return check(document, model, (name,))


def complain(document: Document, trail: Trail, message: str, value: object = None) -> None:
    """Note a problem and the value that has it: its text, or stars when it may be a secret."""
    given = quoted(document, trail, value)
    document.problem(trail, message if value is None else f"{message} (got {given})")


def quoted(document: Document, trail: Trail, value: object) -> str:
    """Write the value that stands there, as stars when it may be a secret."""
    return shown(value, secret=_may_be_secret(document, trail, value))


def _may_be_secret(document: Document, trail: Trail, value: object) -> bool:
    if trail in document.hidden or is_secretive(trail):
        return True
    return isinstance(value, str) and "@" in value and "://" in value  # a password in a URL


def _note(document: Document, model: type[BaseModel], trail: Trail, fault: Any) -> None:
    steps: Trail = fault["loc"]
    whole = (*trail, *steps)
    kind = fault["type"]
    if kind == "extra_forbidden":
        hint = nearest(str(steps[-1]), known_keys(model, steps[:-1]), "allowed here")
        document.problem(whole, f"unknown key; {hint}")
        return
    told = fault.get("ctx", {}).get("error")
    message = str(told) if told else _SHAPES.get(kind, str(fault["msg"]))
    if isinstance(told, Unsupported) or kind == "missing":
        document.problem(whole, message)
        return
    # A plain value where a mapping belongs is often a key put one line too high.
    misplaced = kind in _SHAPES
    value = at(document, whole)
    given = shown(value, secret=True) if misplaced else quoted(document, whole, value)
    document.problem(whole, f"{message} (got {given})")


def known_keys(model: type[BaseModel], steps: Trail = ()) -> list[str]:
    """Name the keys that `model` takes at `steps` below it, without those it would refuse."""
    inner = model
    for step in steps:
        if step in inner.model_fields:  # not a position, nor a name that the user chose
            inner = _model_in(inner.model_fields[str(step)].annotation) or inner
    fields = inner.model_fields.items()
    return [name for name, field in fields if field.annotation not in {None, type(None)}]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
