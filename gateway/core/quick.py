"""Frozen dataclasses that are quick to make.

A request makes some fifty of them. The `__init__` that `dataclass(frozen=True)` writes sets each
field through `object.__setattr__`, since the class refuses assignment; that is most of what making
one costs. Here the class does not refuse it, so that a field is set by a plain store: whoever
assigns to a value is refused by the type checker, and wherever the tests run (tests/conftest.py),
but not in service. See docs/decisions/033-values-frozen-by-the-type-checker.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, Final, ParamSpec, TypeVar

_T = TypeVar("_T")
_P = ParamSpec("_P")
_KEPT: Final = object()


def quick(cls: type[_T]) -> type[_T]:
    """Give a `dataclass(frozen=True, slots=True)` without bases an `__init__` that does the same in
    less time: a `__post_init__` is called, and sets what is no argument (`field(init=False)`) by a
    plain store, since `object.__setattr__` takes 1,300 instructions of the processor.

    Raises TypeError for a class of another kind."""
    told = getattr(cls, "__dataclass_params__", None)
    plain = cls.__bases__ == (object,)
    if told is None or not told.frozen or "__slots__" not in vars(cls) or not plain:
        raise TypeError(f"{cls.__name__} is no frozen dataclass with slots and without bases")
    old, init = cls.__init__, _written(cls, "__init__")
    init.__qualname__, init.__annotations__ = old.__qualname__, old.__annotations__
    cls.__init__ = init  # type: ignore[method-assign]
    del cls.__setattr__, cls.__delattr__
    return cls


def maker(cls: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return a function that makes what a `quick` class makes, where a request makes many of them,
    or names their fields: a call of a class takes 1,500 instructions of the processor more where a
    field is named, and 250 where none is. It passes by the class's `__init__`.

    Python makes a dictionary of the names in a call whose arguments, those with names counted
    twice, are over thirty: 8,000 instructions for sixteen names. So the first of very many are
    given by their places."""
    made: Callable[_P, _T] = _written(cls, "make")
    return made


def changer(cls: type[_T]) -> Callable[..., _T]:
    """Return a function that does what `dataclasses.replace` does for values of a `quick` class: it
    takes a value, and by name what is to be another."""
    known: dict[str, Any] = {"_new": object.__new__, "_own": cls, "_kept": _KEPT}
    given, body = ["_self"], ["made = _new(_own)"]
    for each in _given(cls):
        given.append(f"{each.name}=_kept")
        body.append(
            f"made.{each.name} = _self.{each.name} if {each.name} is _kept else {each.name}"
        )
    if hasattr(cls, "__post_init__"):
        body.append("made.__post_init__()")
    change: Callable[..., _T] = _defined("change", given, [*body, "return made"], known)
    return change


def _written(cls: Any, name: str) -> Any:
    """Write the `__init__`, as dataclasses does, or what makes a value without one."""
    alone = name != "__init__"
    known: dict[str, Any] = {"_new": object.__new__, "_own": cls, "_made": MISSING}
    given, body = ([], ["self = _new(_own)"]) if alone else (["self"], ["pass"])
    for each in _given(cls):
        field, value = each.name, each.name
        if each.default_factory is not MISSING:
            known[f"_make_{field}"] = each.default_factory
            value = f"_make_{field}() if {field} is _made else {field}"
            given.append(f"{field}=_made")
        elif each.default is not MISSING:
            known[f"_default_{field}"] = each.default
            given.append(f"{field}=_default_{field}")
        else:
            given.append(field)
        body.append(f"self.{field} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    return _defined(name, given, [*body, "return self"] if alone else body, known)


def _given(cls: Any) -> list[Field[Any]]:
    return [each for each in fields(cls) if each.init]


def _defined(name: str, given: Sequence[str], body: Sequence[str], known: dict[str, Any]) -> Any:
    lines = [f"def {name}({', '.join(given)}):", *body]
    exec("\n    ".join(lines), known)  # noqa: S102 - of field names alone, as in dataclasses
    return known[name]
