"""Frozen dataclasses that are quick to make.

A request makes some fifty of them. The `__init__` that `dataclass(frozen=True)` writes sets each
field through `object.__setattr__`, since the class refuses assignment; that is most of what making
one costs. Here a value is of a twin of its class while its fields are set, one that takes
assignments, and of its own class from then on: 0.8 µs for 14 fields instead of 1.8.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, Final, TypeVar

_T = TypeVar("_T")
_become = object.__dict__["__class__"].__set__
_KEPT: Final = object()
_changing: Final[dict[type[Any], Any]] = {}


def quick(cls: type[_T]) -> type[_T]:
    """Give a `dataclass(frozen=True, slots=True)` without bases an `__init__` that does the same in
    less time. Raises TypeError for a class of another kind."""
    told = getattr(cls, "__dataclass_params__", None)
    plain = cls.__bases__ == (object,) and not hasattr(cls, "__post_init__")
    if told is None or not told.frozen or "__slots__" not in vars(cls) or not plain:
        raise TypeError(f"{cls.__name__} is no frozen dataclass with slots and without bases")
    cls.__init__ = _written(cls)  # type: ignore[method-assign]
    _changing[cls] = _changer(cls)
    return cls


def changed(value: _T, /, **given: Any) -> _T:
    """Do what `dataclasses.replace` does, for a `quick` value, in a third of its time."""
    made: _T = _changing[type(value)](value, **given)
    return made


def _changer(cls: type[Any]) -> Any:
    names = [each.name for each in fields(cls)]
    given = "".join(f", {name}=_kept" for name in names)
    taken = ", ".join(f"_self.{name} if {name} is _kept else {name}" for name in names)
    known: dict[str, Any] = {"_own": cls, "_kept": _KEPT}
    exec(f"def changed(_self{given}):\n    return _own({taken})", known)  # noqa: S102 - as below
    return known["changed"]


def _written(cls: type[Any]) -> Any:
    """Write the `__init__`, as dataclasses does."""
    old, row = cls.__init__, fields(cls)
    twin = type(cls.__name__, (), {"__slots__": tuple(each.name for each in row)})
    known: dict[str, Any] = {"_twin": twin, "_own": cls, "_become": _become, "_made": MISSING}
    given, body = ["self"], ["_become(self, _twin)"]
    for each in row:
        name, value = each.name, each.name
        if each.default_factory is not MISSING:
            known[f"_make_{name}"] = each.default_factory
            value = f"_make_{name}() if {name} is _made else {name}"
            given.append(f"{name}=_made")
        elif each.default is not MISSING:
            known[f"_default_{name}"] = each.default
            given.append(f"{name}=_default_{name}")
        else:
            given.append(name)
        body.append(f"self.{name} = {value}")
    lines = [f"def __init__({', '.join(given)}):", *body, "self.__class__ = _own"]
    exec("\n    ".join(lines), known)  # noqa: S102 - of field names alone, as in dataclasses
    init = known["__init__"]
    init.__qualname__, init.__annotations__ = old.__qualname__, old.__annotations__
    return init
