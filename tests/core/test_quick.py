"""A quick value is like any frozen dataclass, and is only made in less time."""

from __future__ import annotations

import ast
import copy
from dataclasses import FrozenInstanceError, asdict, dataclass, field, replace
from pathlib import Path

import pytest

from gateway.core import quick as values
from gateway.core.quick import changer, maker, quick


@dataclass(frozen=True, slots=True)
class Slow:
    name: str
    parts: list[int] = field(default_factory=list)
    size: int = 3


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    name: str
    parts: list[int] = field(default_factory=list)
    size: int = 3


@quick
@dataclass(frozen=True, slots=True)
class Nothing:
    pass


def test_it_takes_what_the_slow_one_takes():
    for made in (Slow, Quick):
        one = made("a", size=5)
        assert asdict(one) == {"name": "a", "parts": [], "size": 5}
        assert type(one) is made
        assert one == made("a", [], 5)
        assert one.parts is not made("a").parts
        assert asdict(made("a", [1])) == {"name": "a", "parts": [1], "size": 3}
        assert asdict(replace(one, name="b")) == {"name": "b", "parts": [], "size": 5}
        assert repr(one) == f"{made.__name__}(name='a', parts=[], size=5)"
    assert Nothing() == Nothing()
    change = changer(Quick)
    assert change(Quick("a", [1]), size=5) == Quick("a", [1], 5)
    assert change(Quick("a"), name="b", parts=[2]) == Quick("b", [2])
    with pytest.raises(TypeError, match="unexpected keyword argument 'weight'"):
        change(Quick("a"), weight=1)


def test_a_maker_makes_the_same():
    make = maker(Quick)
    one = make("a", size=5)
    assert (type(one), one) == (Quick, Quick("a", size=5))
    assert one.parts is not make("a").parts
    assert make(parts=[1], name="b") == Quick("b", [1])
    assert maker(Nothing)() == Nothing()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        make()


@quick
@dataclass(frozen=True, slots=True)
class Summed:
    parts: tuple[int, ...] = ()
    total: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", sum(self.parts))


def test_what_is_made_of_the_rest_is_made_however_the_value_is():
    for make in (Summed, maker(Summed)):
        one = make((1, 2))
        assert (one.total, one) == (3, Summed(parts=(1, 2)))
        for change in (replace, changer(Summed)):
            assert change(one, parts=(5,)).total == 5
            with pytest.raises((TypeError, ValueError)):
                change(one, total=5)
    with pytest.raises(TypeError):
        Summed(total=5)


def test_no_maker_is_called_by_so_many_names_that_python_makes_a_dictionary_of_them():
    over = []
    for path in Path(values.__file__).parents[1].rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call) or "new_" not in ast.unparse(call.func):
                continue
            if len(call.args) + 2 * len(call.keywords) > 30:
                over.append(f"{path.name}:{call.lineno}")
    assert over == []


@pytest.mark.parametrize("given", [(), ("a", [], 3, 4)])
def test_it_refuses_what_the_slow_one_refuses(given):
    for made in (Slow, Quick):
        with pytest.raises(TypeError, match=f"{made.__name__}.__init__"):
            made(*given)


def test_it_is_frozen_wherever_the_tests_run():
    """In service the type checker alone holds it; see tests/conftest.py."""
    one = Quick("a")
    with pytest.raises(FrozenInstanceError):
        one.name = "b"
    with pytest.raises(FrozenInstanceError):
        del one.name
    assert not hasattr(one, "__dict__")


def test_it_can_be_copied_and_hashed():
    one = Quick("a", [1])
    assert copy.copy(one) == copy.deepcopy(one) == one
    assert hash(Quick("a", (1,))) == hash(Quick("a", (1,)))  # type: ignore[arg-type]


def test_what_it_would_not_do_justice_to_is_refused():
    @dataclass(slots=True)
    class Open:
        name: str

    @dataclass(frozen=True)
    class Loose:
        name: str

    @dataclass(frozen=True, slots=True)
    class Child(Slow):
        pass

    for cls in (Open, Loose, Child, int):
        with pytest.raises(TypeError, match="no frozen dataclass"):
            quick(cls)
