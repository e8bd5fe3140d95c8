"""The mark of a call that is under way: what a crash in the middle of it leaves to be booked by."""

from __future__ import annotations

from gateway.core.money import Usage
from gateway.core.plan import Tier
from gateway.core.ports import OpenCall, Purpose
from gateway.engine.state import Job, Parts


def open_call(
    parts: Parts,
    job: Job,
    call_id: str,
    tier: Tier,
    guess: Usage,
    purpose: Purpose,
    upstream: str,
) -> int:
    """Write a call down as under way, in the instant before it leaves; return its slot in the
    journal. `upstream` is the one that it goes to; `guess` is the usage that it is booked with
    if nobody ever hears how it ended."""
    price = tier.price
    return parts.journal.open(
        OpenCall(
            call_id=call_id,
            entry_id=job.origin.entry_id,
            route=job.route.name,
            tier=tier.name,
            upstream=upstream,
            model=tier.model,
            opened_at=parts.wall(),
            prompt_estimate=guess.prompt,
            completion_estimate=guess.completion,
            cost_estimate=price.cost(guess).total,
            purpose=purpose,
            price_version=price.version,
            price_hash=price.digest,
        )
    )
