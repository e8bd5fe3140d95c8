"""Between a request's plan and its first call: do its key's and route's limits and budgets let it
in, and how far?"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from gateway.api.auth import Key
from gateway.api.http import Headers
from gateway.api.planning import replan
from gateway.api.service import Service
from gateway.core.chat import CHARS_PER_TOKEN
from gateway.core.difficulty import UNSCORED
from gateway.core.errors import GatewayError
from gateway.core.money import UNPRICED, Price, Usage
from gateway.core.reserve import downgraded, reserve_of
from gateway.core.routing import make_plan, reply_tokens
from gateway.core.shadow import drawn
from gateway.engine import Job
from gateway.limits import Admission, Scope, rate_headers


async def admit(service: Service, admission: Admission, key: Key, job: Job) -> tuple[Job, Headers]:
    """Put aside what the request may use; return it as it may be served, and what its answer says
    of that. Raises RateLimited, BudgetSpent or LimitsUnknown.

    Nothing is on a key and route without limits, and nothing is done for them.
    """
    scopes = _scopes(key, job)
    if not scopes:
        return job, []
    least, most = reserve_of(job.plan)
    if job.undecided is not None:
        most += job.undecided.assessor.estimate(job.signals)
    tokens = job.signals.prompt_tokens + reply_tokens(job.signals)
    shadow = _shadow(job)
    admitted = await admission.admit(job.origin.entry_id, scopes, tokens, least, most, shadow)
    try:
        if admitted.downgrade:
            job = _downgraded(job)
        elif admitted.ceiling is not None:
            job = _within(service, job, admitted.ceiling)
    except BaseException:
        admission.release(job.origin.entry_id)
        raise
    told = [(b"x-waterfall-budget", each.encode()) for each in admitted.over]
    return job, [*rate_headers(admitted), *told]


async def admit_passing(
    admission: Admission | None, key: Key, entry_id: str, size: int, price: Price = UNPRICED
) -> None:
    """Put aside what is passed through may use; `size` is its body's in bytes, where it is known,
    and `price` its model's.

    What it reads is put aside by its size; what it will write, or where it has no price, nobody can
    say before: a budget that is not spent lets that pass, and is charged for what it did cost.
    Raises RateLimited, BudgetSpent or LimitsUnknown.
    """
    if admission is None or key.limits is None:
        return
    scope = Scope("key", key.name, key.limits)
    tokens = size // CHARS_PER_TOKEN + 1
    cost = max(price.total(Usage(tokens, 0)), 1) if size else 1
    await admission.admit(entry_id, [scope], tokens, cost, cost)


def _scopes(key: Key, job: Job) -> list[Scope]:
    found = []
    if key.limits is not None:
        session = f"{key.name}\0{job.origin.session}" if job.origin.session else ""
        found.append(Scope("key", key.name, key.limits, session))
    if job.route.limits is not None:
        session = f"{key.name}\0{job.origin.session}" if job.origin.session else ""
        found.append(Scope("route", job.route.name, job.route.limits, session))
    return found


def _shadow(job: Job) -> int:
    """What asking in the shadow is expected to cost; 0 where nobody will be asked."""
    would = job.would
    if would is None or not drawn(job.origin.entry_id, job.route.shadow):
        return 0
    return would.expected[would.tiers[0].name]


def _within(service: Service, job: Job, ceiling: int) -> Job:
    """Plan anew with less to spend: it may have to start lower for that. What the client asked for
    stays what it was: by that its reply is kept, and found."""
    asked = replace(job.asked, ceiling=ceiling)
    plan = replace(job.plan, ceiling=ceiling)
    return replace(replan(service, replace(job, plan=plan, asked=asked)), asked=job.asked)


def _downgraded(job: Job) -> Job:
    """Serve it from the lowest tier that can take it, whatever was asked for."""
    plan = job.plan
    with suppress(GatewayError):
        alone = replace(job.asked, tier=None, mode="enforce", ceiling=None)
        plan = make_plan(job.route, job.signals, job.difficulty or UNSCORED, alone, job.past)
    bounded = replace(downgraded(plan), ceiling=None)
    return replace(job, plan=bounded, would=None, undecided=None)
