"""What can be done next: the steps that `gateway.core.cascade.next_step` chooses among."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.core.errors import GatewayError
from gateway.core.outcome import Attempt
from gateway.core.plan import Tier
from gateway.core.quick import quick


@dataclass(frozen=True, slots=True)
class Race:
    """Start `tier` too, after so many seconds. What decides is either the first one's verdict
    (what was started beside it is adopted by the next Call, or outrun), or whose first token is
    here first; a plain reply has none to go by, and is not raced to it."""

    tier: Tier
    after: float
    by: Literal["verdict", "first_token"]


@quick
@dataclass(frozen=True, slots=True)
class Call:
    """Call this tier; `bare` means once more, without any addition of ours, and `repair` once more
    and told what was wrong with the form of the last reply."""

    tier: Tier
    bare: bool = False
    repair: bool = False
    race: Race | None = None


@quick
@dataclass(frozen=True, slots=True)
class Consult:
    """Put these checks to the last attempt's reply; or, where they are `barred`, write down that
    and why they were not."""

    checks: tuple[str, ...]
    barred: Literal["", "budget", "deadline"] = ""


@quick
@dataclass(frozen=True, slots=True)
class Deliver:
    """Send (or finish sending) this attempt's reply."""

    attempt: Attempt
    degraded: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Tell the client that it did not work."""

    error: GatewayError


Step = Call | Consult | Deliver | GiveUp
