"""What a waterfall and a fine-tuned model cost, save, and have to save: formulae, nothing read.

Money is in nano-dollars. What is booked is a whole number; a mean over requests is a float.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log1p
from typing import Literal

from gateway.core.money import Price

_MILLION = 1_000_000
MONTHS = 12


@dataclass(frozen=True, slots=True)
class Tokens:
    """A mean request: `instructions` are what every request repeats (a system prompt, examples),
    `user` its own prompt, `output` the reply."""

    instructions: float
    user: float
    output: float


def request_cost(price: Price, tokens: Tokens, cached: float | None = None) -> float:
    """Price a mean request: p_i·(T_I·(1-h) + T_u) + p_c·T_I·h + p_o·T_o + p_request.

    `cached` is h, the share of the instructions that a provider's cache has, 0..1; the rest of them
    is written to it, at its price for that. None: nothing is cached.
    """
    millionths = (
        tokens.instructions * _instruction_price(price, cached)
        + tokens.user * price.input
        + tokens.output * price.output
    )
    return millionths / _MILLION + price.request


def _instruction_price(price: Price, cached: float | None) -> float:
    """Of a million tokens of instructions: those that the cache has, and those that it is given."""
    if cached is None:
        return price.input
    read = price.input if price.cached_input is None else price.cached_input
    written = price.input if price.cache_write is None else price.cache_write
    return written * (1.0 - cached) + read * cached


def cascade_cost(
    small: float,
    checks: float,
    large: float,
    *,
    escalation: float,
    tried: float = 1.0,
    routing: float = 0.0,
) -> float:
    """Cost of a mean request of a waterfall of two tiers:
    C = c_route + (1-q)·c_L + q·(c_S + v + e·c_L).

    `tried` is q, the share that starts at the small tier; `escalation` is e, the share of those
    that the large one has to answer after all; `checks` is v, what judging a draft costs.
    """
    return routing + (1.0 - tried) * large + tried * (small + checks + escalation * large)


def break_even_escalation(small: float, checks: float, large: float) -> float | None:
    """e* = 1 - (c_S + v) / c_L: escalate more than this, and asking the small tier first costs
    more than it saves. Under zero where even a draft that is always served does not pay; None
    where the large tier is free."""
    return 1.0 - (small + checks) / large if large > 0 else None


@dataclass(frozen=True, slots=True)
class Worth:
    """When a waterfall is worth it, by what a bad answer costs: `below` the `limit` (λ*), from the
    limit on (`above`: it costs more money and gives fewer bad answers), `always`, or `never`.
    `limit` is in nano-dollars for each bad answer, None for the last two."""

    when: Literal["below", "above", "always", "never"]
    limit: float | None = None


def worth(saving: float, extra_bad: float) -> Worth:
    """λ* = saving / extra bad answers, both of a mean request, against the large tier alone.

    `saving` may be negative, and so may `extra_bad` (0.01: one more in a hundred).
    """
    if extra_bad > 0:
        return Worth("below", saving / extra_bad) if saving > 0 else Worth("never")
    if saving >= 0:
        return Worth("always")
    return Worth("above", saving / extra_bad) if extra_bad < 0 else Worth("never")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fine-tuned model costs beside its calls: `once` before its first one (data, labels,
    training, evaluation, engineering), `monthly` for as long as it serves (retraining by its
    period, hosting). `discount` is what money loses in a year, 0..1."""

    once: float
    monthly: float = 0.0
    discount: float = 0.0


@dataclass(frozen=True, slots=True)
class PayBack:
    """When what was spent has come in again: after so many `requests`, `months` from the start.
    None where it never does, and why: each request is `dearer`, or costs the same; what is saved
    each month is eaten by the `upkeep`; or what comes is worth less and less (`discount`)."""

    requests: float | None = None
    months: float | None = None
    why: Literal["", "dearer", "upkeep", "discount"] = ""


def pay_back(saving: float, volume: float, plan: Plan) -> PayBack:
    """N* = K / (c_alt - c_FT - upkeep), upkeep = monthly / volume; `saving` is c_alt - c_FT of a
    mean request, `volume` in requests a month, the same each month.

    With a discount, until the present value is zero: n = -ln(1 - K·r / monthly) / ln(1 + r).
    """
    if saving <= 0:
        return PayBack(why="dearer")
    monthly = saving * volume - plan.monthly
    if monthly <= 0:
        return PayBack(why="upkeep")
    rate = monthly_rate(plan.discount)
    if plan.once * rate >= monthly:
        return PayBack(why="discount")
    months = plan.once / monthly
    if rate > 0:
        months = -log1p(-months * rate) / log1p(rate)
    return PayBack(months * volume, months)


def monthly_rate(yearly: float) -> float:
    """The rate for a month that comes to `yearly` in twelve."""
    return float((1.0 + yearly) ** (1.0 / MONTHS) - 1.0)


def present_values(saving: float, volume: float, plan: Plan) -> Iterator[float]:
    """Yield what has come in less what was spent, in today's money, at the start and after each
    month, without end: NPV(t) = -K + Σ (V·s - U) / (1+r)^t."""
    rate, value, factor = monthly_rate(plan.discount), -plan.once, 1.0
    while True:
        yield value
        factor /= 1.0 + rate
        value += (saving * volume - plan.monthly) * factor


def least_volume(saving: float, plan: Plan, months: float) -> float | None:
    """Requests a month from which it is paid back within so many months, undiscounted:
    (K/months + U) / s. None: from none."""
    return (plan.once / months + plan.monthly) / saving if saving > 0 else None


def least_instructions(
    tuned: float, price: Price, tokens: Tokens, cached: float | None = None
) -> float | None:
    """How long the instructions have to be for a tuned model, at `tuned` a request, to be the
    cheaper one: T_I > (c_FT - p_i·T_u - p_o·T_o - p_request) / (p_i·(1-h) + p_c·h). Zero: at any
    length. None: at none, since instructions cost nothing."""
    without = request_cost(price, Tokens(0.0, tokens.user, tokens.output), cached)
    each = _instruction_price(price, cached) / _MILLION
    if tuned < without:
        return 0.0
    return (tuned - without) / each if each > 0 else None


def cached_share_limit(tuned: float, price: Price, tokens: Tokens) -> float | None:
    """The share of cached instructions, 0..1, from which prompting is as cheap as a tuned model at
    `tuned` a request. None: at no share. Zero: without any."""
    plain = request_cost(price, tokens)
    if tuned >= plain:
        return 0.0
    first, last = (request_cost(price, tokens, share) for share in (0.0, 1.0))
    if last > tuned:
        return None
    return (first - tuned) / (first - last)
