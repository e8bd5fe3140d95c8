"""The plan that a configuration's route makes of a recorded request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.core.difficulty import Difficulty
from gateway.core.errors import GatewayError
from gateway.core.plan import Plan
from gateway.core.routing import Route, make_plan
from gateway.core.session import Past
from router_models.replay.recorded import Record

Policy = Callable[[Record], Plan | str]
"""Plans a recorded request; a word of `again.UNKNOWN` where that cannot be told."""


def as_recorded(record: Record) -> Plan:
    """The plan that the request was served with."""
    return record.decided.plan


@dataclass(frozen=True, slots=True)
class Under:
    """The policy of a route. `scorer` is the label of the scorer that it names, empty for one that
    waits for somebody: then the recorded difficulty stands whoever said it.

    Its mode is enforce, so that what was only observed is decided too; what a request itself asked
    for (a tier, thresholds, mode off, ceilings) stays as it was, and so does its session's past.
    A route whose threshold follows a target is given the thresholds that were in force.
    """

    route: Route
    scorer: str = ""

    def __call__(self, record: Record) -> Plan | str:
        """Plan one request."""
        difficulty = self._difficulty(record)
        if difficulty is None:
            return "scorer"
        decided, route = record.decided, self.route
        asked = decided.asked
        live = decided.thresholds if route.target is not None else route.thresholds
        wanted = replace(
            asked,
            mode="off" if record.row["mode"] == "off" else "enforce",
            thresholds=(asked.thresholds or live)[: max(len(route.tiers) - 1, 0)],
        )
        bounds = [each for each in (route.ceiling, asked.ceiling) if each is not None]
        if record.scoring and bounds:
            wanted = replace(wanted, ceiling=max(min(bounds) - record.scoring, 0))
        try:
            past, down = self._past(record), decided.down
            plan = make_plan(route, decided.signals, difficulty, wanted, past, down)
            return plan.held_whole() if decided.plan.whole else plan
        except GatewayError:
            return "plan"

    def _past(self, record: Record) -> Past:
        """The session's past, its latch at the tier of the same name."""
        past, names = record.decided.past, list(record.decided.plan.expected)
        latched = names[past.latched] if past.latched < len(names) else ""
        here = [tier.name for tier in self.route.tiers]
        return replace(past, latched=here.index(latched)) if latched in here else past

    def _difficulty(self, record: Record) -> Difficulty | None:
        row = record.row
        value, p_good, label = row["difficulty"], tuple(row["p_good"]), row["scorer"]
        own = label.removesuffix("+fallback")
        if value is None:
            return None
        if self.scorer and own != self.scorer:
            if row["candidate"] != self.scorer or row["candidate_value"] is None:
                return None
            return Difficulty(row["candidate_value"], scorer=self.scorer)
        return Difficulty(value, row["gain"], p_good, label)
