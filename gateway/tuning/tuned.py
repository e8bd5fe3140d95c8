"""What is in force: how a request's score is ranked, and from which difficulty it starts higher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.difficulty import Difficulty, change_difficulty
from gateway.core.ports import TuningRow
from gateway.core.ranks import rank
from gateway.core.routing import Route
from gateway.tuning.figures import Labels, Standing, describe, figures
from gateway.tuning.fit import is_young
from gateway.tuning.state import Basis, Held, InForce, Known, Yardstick, read_state, yardstick


def yardsticks(scorers: Mapping[str, Known]) -> dict[str, Yardstick]:
    """Read off each route's scorer what its training knows."""
    return {name: yardstick(scorer) for name, scorer in scorers.items()}


class Tuned:
    """What is in force for the routes of one configuration.

    `apply` is for the event loop: a look-up and a search, without locks. `adopt` is for whoever
    keeps this up to date, one thread at a time.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        yards: Mapping[str, Yardstick],
        before: Tuned | None = None,
    ) -> None:
        """`yards` has every route's; of `before` what is still of use is taken over at once."""
        self.routes = {name: route for name, route in routes.items() if route.thresholds}
        self.yards = yards
        self._held: dict[str, Held] = {}
        self._rows: dict[str, TuningRow] = {}
        self._in_force: dict[str, InForce] = {}
        self._young: set[str] = set()
        self.stirred: set[str] = set()
        """The young routes that have been asked for. Whoever looks takes them out."""
        for name in self.routes:
            self._in_force[name] = self._decide(name)
        for row in before.rows() if before else ():
            self.adopt(row)

    def apply(self, route: Route, difficulty: Difficulty) -> tuple[Difficulty, tuple[float, ...]]:
        """Return the difficulty as it ranks now, and the thresholds now in force.

        What another scorer has scored is left as it is: no reference fits it.
        """
        found = self._in_force.get(route.name)
        if found is None or found.scorer != difficulty.scorer:
            return difficulty, route.thresholds
        if route.name in self._young:
            self.stirred.add(route.name)
        if found.reference is None:
            return difficulty, found.thresholds
        score = difficulty.ranked
        return change_difficulty(difficulty, value=rank(score, found.reference), score=score), (
            found.thresholds
        )

    def adopt(self, row: TuningRow) -> bool:
        """Take a state from the ledger; False for one that is of no use here, or not newer.

        One made for something else is of use as long as there is no better, for its reference.
        """
        yard, route = self.yards.get(row.route), self.routes.get(row.route)
        held = self._held.get(row.route)
        if route is None or yard is None or row.scorer != yard.scorer:
            return False
        if held is not None and row.number <= held.number:
            return False
        state = read_state(row.state)
        if state is None or (held is not None and held.fits and not state.is_for(route)):
            return False
        self._held[row.route] = Held(state, row.number, row.made_at, state.is_for(route))
        self._rows[row.route] = row
        self._in_force[row.route] = self._decide(row.route)
        return True

    def held(self, name: str) -> Held | None:
        """Return the state that a route holds."""
        return self._held.get(name)

    def rows(self) -> list[TuningRow]:
        """Return the states that are held, as they were read."""
        return list(self._rows.values())

    def fixed(self, route: Route) -> Tuned:
        """Return the same with another route in the place of the one of its name."""
        return Tuned({**self.routes, route.name: route}, self.yards, self)

    def _decide(self, name: str) -> InForce:
        route, held = self.routes[name], self._held.get(name)
        state = held.state if held else None
        fitted = state if held and held.fits else None
        (self._young.add if is_young(route, fitted) else self._young.discard)(name)
        reference = state.reference if state and route.reference == "own" else None
        thresholds, basis = route.thresholds, _first_basis(route)
        if state is not None and held is not None and held.fits:
            thresholds, basis = state.thresholds or thresholds, state.basis
        return InForce(self.yards[name].scorer, reference, thresholds, basis)

    def describe(self, name: str) -> dict[str, Any] | None:
        """Say what is in force for a route, as JSON values; None for one without a threshold."""
        standing = self._standing(name)
        return describe(standing) if standing else None

    def missing(self, name: str) -> int:
        """Return how many more labels a route's target of quality needs for a promise."""
        standing = self._standing(name)
        return standing.missing if standing else 0

    def figures(self) -> dict[str, dict[Labels, float]]:
        """Return what metrics show, by metric and labels (a route, and what else it has)."""
        return figures(filter(None, map(self._standing, list(self._in_force))))

    def _standing(self, name: str) -> Standing | None:
        found, held = self._in_force.get(name), self._held.get(name)
        if found is None:
            return None
        state = held.state if held is not None and held.fits else None
        return Standing(self.routes[name], self.yards[name], found, state)


def _first_basis(route: Route) -> Basis:
    if route.target is None:
        return "config"
    return "start" if route.target.quality is None else "conservative"
