"""One look at the ledger: adopt what another process has fitted, and fit what is due."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from gateway.core.ports import Archive, Labelled, TuningRow
from gateway.core.routing import Route
from gateway.tuning import report
from gateway.tuning.fit import FIRST, REFERENCE_AT, digest, fit, scores_to_next, scores_wanted
from gateway.tuning.state import Held, Yardstick, write_state
from gateway.tuning.tuned import Tuned

_log = logging.getLogger("waterfall")

LABELS = 5000
"""Read of each route, the newest."""
APART = 1.0
"""Seconds between two fits, once there is a reference's worth of scores. A threshold of a thousand
errs by more than a point, and busy traffic keeps to it for this long; of many in turn the errors
cancel out, and what is sent up meets its target."""
APART_FOR_DRIFT = 10.0
"""The same for a route without a target: its thresholds and its reference stay, and only what is
said of drift is new. A fit takes 15 ms of CPU; one a second was 6 % of busy traffic's."""


class Rounds:
    """Goes round. Everything here blocks, and raises OSError when the ledger is not to be had."""

    def __init__(self, archive: Archive, clock: Callable[[], float]) -> None:
        """`clock` is UNIX time in seconds."""
        self._archive = archive
        self._clock = clock

    def go(self, tuned: Tuned, *, labels: bool, only: Collection[str] | None = None) -> None:
        """Look at every route once, or at those that are named; `labels` says whether to see if
        labels have changed."""
        newest = self._archive.tunings()
        for row in newest.values():
            tuned.adopt(row)
        numbers = {name: row.number for name, row in newest.items()}
        names = [name for name in tuned.routes if only is None or name in only]
        made = [self._tend(tuned, name, numbers.get(name, 0), labels) for name in names]
        if any(made):
            for row in self._archive.tunings().values():
                tuned.adopt(row)

    def _tend(self, tuned: Tuned, name: str, after: int, labels: bool) -> bool:
        """Fit a route anew if that is due; return whether its state is now another."""
        route, yard, held = tuned.routes[name], tuned.yards[name], tuned.held(name)
        for_quality = route.target is not None and route.target.quality is not None
        labelled = self._labelled(name, yard) if for_quality and labels else None
        if not (_relabelled(held, labelled) or self._is_due(route, yard, held)):
            return False
        if for_quality and labelled is None:
            labelled = self._labelled(name, yard)
        recent = self._archive.recent(name, yard.scorer, scores_wanted(route))
        last = held.state if held else None
        now = self._clock()
        state = fit(route, yard, recent, labelled or [], last, now)
        row = TuningRow(0, name, yard.scorer, now, write_state(state))
        if self._archive.put_tuning(row, after):
            for told in report.changes(route, last if held and held.fits else None, state):
                _log.info("%s", told)
        return True  # even where another process was faster: its state is there to be adopted

    def _labelled(self, name: str, yard: Yardstick) -> list[Labelled]:
        return self._archive.labelled(name, yard.scorer, LABELS)

    def _is_due(self, route: Route, yard: Yardstick, held: Held | None) -> bool:
        if held is None or not held.fits:
            return self._archive.has_scored(route.name, yard.scorer, 0, FIRST)
        state = held.state
        apart = APART_FOR_DRIFT if route.target is None else APART
        if state.seen >= REFERENCE_AT and 0 <= self._clock() - held.made_at < apart:
            return False
        more = scores_to_next(state.seen)
        return self._archive.has_scored(route.name, yard.scorer, state.through, more)


def _relabelled(held: Held | None, labelled: list[Labelled] | None) -> bool:
    """Have labels changed since the state was made?"""
    if labelled is None:
        return False
    known = held.state.labels_digest if held is not None and held.fits else 0
    return digest(labelled) != known
