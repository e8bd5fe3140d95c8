"""Brings what is in force up to date, in a thread.

Every process has a keeper, and all of them share one value. Whichever sees first that a fit is
due makes it; the ledger takes it only if nobody was faster, and everybody adopts the newest.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping

from gateway.core.ports import Archive
from gateway.core.routing import Route
from gateway.tuning import report
from gateway.tuning.rounds import Rounds
from gateway.tuning.state import Known
from gateway.tuning.tuned import Tuned, yardsticks

_log = logging.getLogger("waterfall")

EVERY = 1.0
QUICK = 0.2
"""Seconds between two looks while a route that is young is asked for: as often as the ledger is
written. A thousand requests may have come and gone within a round."""
LABELS_EVERY = 5
"""Rounds: labels are read whole, and come slowly."""
RESTS_AFTER = 15.0
"""Seconds without a write to the ledger after which rounds are left out until there is one: by then
what is put off for a while (`rounds.APART_FOR_DRIFT`) has been done, and labels have been seen.
Opening the ledger, which reads what tables there are, was half of what an idle gateway used."""


class Keeper:
    """Keeps a `Tuned` up to date. `round` belongs to its own thread, the rest to its owner."""

    def __init__(
        self,
        archive: Archive,
        clock: Callable[[], float],
        every: float = EVERY,
        quick: float = QUICK,
    ) -> None:
        """Start with nothing to keep.

        `clock` is UNIX time in seconds, `every` the seconds between two rounds and `quick` those
        between two looks in between.
        """
        self._archive, self._clock = archive, clock
        self._rounds = Rounds(archive, clock)
        self._rests_after = max(RESTS_AFTER, every * (LABELS_EVERY + 1))
        self._looks = max(round(every / quick), 1)
        self._quick = every / self._looks
        self._tuned: Tuned | None = None
        self._count = 0
        self._stamp: object = None
        self._written_at = 0.0
        self._failing = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tuning", daemon=True)

    def prepare(self, routes: Mapping[str, Route], scorers: Mapping[str, Known]) -> Tuned:
        """Return what a new configuration starts with: all that is known so far is in force.

        It blocks; without a ledger it falls back on what is kept now.
        """
        tuned = Tuned(routes, yardsticks(scorers), self._tuned)
        self._go(tuned, labels=True)
        for name, route in tuned.routes.items():
            if missing := tuned.missing(name):
                _log.warning("%s", report.waiting(route, missing))
        return tuned

    def watch(self, tuned: Tuned) -> None:
        """Keep this from now on, and no longer what was kept before."""
        self._tuned, self._stamp = tuned, None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout: float = 5.0) -> None:
        """Stop the thread; wait for the round under way, for at most `timeout` seconds."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def round(self) -> None:
        """Look at every route once, unless there is nothing new to be seen. It blocks."""
        tuned = self._tuned
        if tuned is not None and not self._rests():
            self._go(tuned, labels=self._count % LABELS_EVERY == 0)
            self._count += 1

    def look(self) -> None:
        """Look between two rounds at the young routes asked for since the last. It blocks."""
        tuned = self._tuned
        if tuned is not None and tuned.stirred:
            stirred, tuned.stirred = tuned.stirred, set()
            self._go(tuned, labels=False, only=stirred)

    def figures(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Return what metrics show: see Tuned.figures."""
        return self._tuned.figures() if self._tuned else {}

    def _run(self) -> None:
        looks = 0
        while not self._closing.wait(self._quick):
            looks += 1
            if looks % self._looks:
                self.look()
            else:
                self.round()

    def _rests(self) -> bool:
        """Has nothing been written for so long that there is nothing to do?"""
        try:
            stamp = self._archive.stamp()
        except OSError:
            return False  # the round will meet the same, and tell of it
        if stamp is None or stamp != self._stamp or self._failing:
            self._stamp, self._written_at = stamp, self._clock()
            return False
        return not 0 <= self._clock() - self._written_at < self._rests_after

    def _go(self, tuned: Tuned, *, labels: bool, only: Collection[str] | None = None) -> None:
        """Go round. Whatever goes wrong, thresholds stay as they are; it is told of once."""
        try:
            self._rounds.go(tuned, labels=labels, only=only)
        except OSError as error:
            if not self._failing:
                _log.warning("tuning waits for the ledger: %s", error)
            self._failing = True
        except Exception:  # noqa: BLE001 - requests go on as they went
            if not self._failing:
                _log.exception("tuning failed; thresholds stay as they are")
            self._failing = True
        else:
            self._failing = False
