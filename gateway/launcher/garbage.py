"""Spares the collector what a gateway keeps for good.

What is there when serving begins (modules, weights, configuration: some hundred thousand objects)
stays. Python's collector would look through all of it again and again for garbage that requests
hardly leave: a twelfth of a plain request's CPU, and a stall of tens of milliseconds each time.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

YOUNG: Final = 10_000
"""Objects, more made than freed, after which the young ones are looked through: some 2 MB. Nearly
everything that a request makes goes without the collector."""


@contextlib.contextmanager
def sparing() -> Iterator[Callable[[object], None]]:
    """Leave what is there now out of collections while inside.

    Yields what to call when a configuration was replaced: all is looked through once more then,
    and what is left by is spared from there on. What is still in use of the old one at that moment
    is looked through with the next replacement, so that no more than one of them ever lingers.
    """
    before = gc.get_threshold()

    def replaced(_: object) -> None:
        gc.unfreeze()
        if spare not in gc.callbacks:
            gc.callbacks.append(spare)

    def spare(phase: str, told: Mapping[str, Any]) -> None:
        if phase == "stop" and told["generation"] == 2:
            gc.callbacks.remove(spare)
            gc.freeze()

    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *before[1:])
    try:
        yield replaced
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
        if spare in gc.callbacks:
            gc.callbacks.remove(spare)
