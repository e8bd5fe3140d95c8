"""What is tuned: a route's scorer, and what its scores are ranked among in the gateway."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.app import read_settings
from gateway.config import Settings
from gateway.core import ranks
from gateway.core.ports import Scorer
from gateway.core.routing import Route
from gateway.scoring import open_plain
from gateway.store.archive import Archive
from router_models.commands.common import CONFIG, UseError, tell


@dataclass(frozen=True, slots=True)
class Ground:
    """`reference` holds the scores, rising, of the traffic that a score is ranked among: the
    gateway's `own`, or what the scorer came with (nothing where it is a difficulty itself).
    Without a configuration there are neither `settings` nor `route`."""

    scorer: Scorer
    reference: Sequence[float]
    own: bool = False
    settings: Settings | None = None
    route: Route | None = None

    @property
    def moves(self) -> bool:
        """Will the gateway come to rank these scores among other traffic, its own?"""
        return self.route is not None and self.route.reference == "own" and not self.own

    @property
    def archive(self) -> Archive:
        """The configuration's ledger. Raises UseError where there is none."""
        if self.settings is None:
            raise UseError("without a configuration there is no ledger: give --data.")
        place = self.settings.ledger.place
        if isinstance(place, Path) and not place.is_file():
            raise UseError(f"there is no ledger at {place} yet: give --data.")
        return Archive(place)

    def rank(self, score: float) -> float:
        """Return the difficulty that a score comes to in the gateway."""
        return ranks.rank(score, self.reference) if self.reference else min(max(score, 0.0), 1.0)

    def value(self, score: float, said: float) -> float:
        """Return the same where the scorer itself has `said` what the score comes to."""
        return self.rank(score) if self.own else said


def open_ground(args: argparse.Namespace) -> Ground:
    """Open what --config and --route name. Raises ConfigError, ArtefactError or UseError."""
    path: Path = args.config or CONFIG
    if args.config is None and not path.exists() and args.data and not args.write:
        scorer = open_plain("default")
        tell(f"there is no {path}: tuned for {scorer.label}, which comes with the gateway")
        return Ground(scorer, _came_with(scorer))
    settings = read_settings(path, os.environ)
    name = args.route or next(iter(settings.routes))
    if name not in settings.routes:
        raise UseError(f"no route {name!r}; there is: {', '.join(settings.routes)}")
    route = settings.routes[name]
    if not route.thresholds:
        raise UseError(f"route {name} has one tier only: there is nothing to tune.")
    if not isinstance(route.scorer, str):
        raise UseError(
            f"the scorer of route {name} is asked while a request waits; only a target in the "
            "configuration can tune it: threshold: {target_share: 0.2} or {target_quality: 0.98}."
        )
    scorer = open_plain(route.scorer)
    own = _own(settings, route, scorer)
    return Ground(scorer, own or _came_with(scorer), bool(own), settings, route)


def _came_with(scorer: Scorer) -> Sequence[float]:
    reference: Sequence[float] = getattr(scorer, "reference", None) or ()
    return reference if len(reference) > 1 else ()


def _own(settings: Settings, route: Route, scorer: Scorer) -> Sequence[float]:
    """The gateway's own traffic, as its ledger keeps it; nothing before there is enough."""
    place = settings.ledger.place
    if route.reference != "own" or (isinstance(place, Path) and not place.is_file()):
        return ()
    row = Archive(place).tunings().get(route.name)
    if row is None or row.scorer != scorer.label:
        return ()
    try:
        reference: Sequence[float] = json.loads(row.state)["reference"] or ()
    except (ValueError, KeyError, TypeError):  # of a version that wrote something else
        return ()
    return reference
