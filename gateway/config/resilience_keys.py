"""The shape of what stands around an upstream: retries, breaker, concurrency, queue."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, PlainValidator

from gateway.config import fields, quantities
from gateway.config.fields import Seconds, Share, whole
from gateway.config.settings import Resilience
from gateway.config.strict import STRICT

MOST_AT_ONCE = 512
"""Calls at once of one model: the connections that an upstream's client has."""
_ADAPTIVE, _OFF = "adaptive", "off"


class RetryKeys(BaseModel):
    """How much may be asked again."""

    model_config = STRICT
    budget: Share = 0.2
    min_per_second: Annotated[
        float, PlainValidator(partial(quantities.number, least=0, most=1000))
    ] = 1.0
    most: Annotated[int, PlainValidator(whole(1, 10))] = 2


class BreakerKeys(BaseModel):
    """When an upstream is left alone, and for how long."""

    model_config = STRICT
    failures: Annotated[int, PlainValidator(whole(1, 1000))] = 5
    pause: Seconds = 5.0


class QueueKeys(BaseModel):
    """Who may wait for an upstream that has all it takes."""

    model_config = STRICT
    length: Annotated[int, PlainValidator(whole(0, 100_000))] = 256
    wait: Seconds = 2.0


def calls_at_once(value: object) -> str | int:
    """`adaptive`, `off`, or a number of calls."""
    if value in (_ADAPTIVE, _OFF):
        return str(value)
    try:
        return whole(1, MOST_AT_ONCE)(value)
    except ValueError as error:
        raise ValueError(f"{error}, or adaptive, or off") from error


def one_or_several(value: object) -> tuple[str, ...]:
    """An upstream's name, or a list of them."""
    if isinstance(value, list) and not value:
        raise ValueError("must name at least one upstream")
    return tuple(fields.name(each) for each in (value if isinstance(value, list) else [value]))


class ResilienceKeys(BaseModel):
    """What every kind of upstream has around it."""

    model_config = STRICT
    retries: Annotated[RetryKeys | None, BeforeValidator(fields.unless_off)] = RetryKeys()
    breaker: Annotated[BreakerKeys | None, BeforeValidator(fields.unless_off)] = BreakerKeys()
    concurrency: Annotated[str | int, PlainValidator(calls_at_once)] = _ADAPTIVE
    reserve: Share = 0.2
    queue: QueueKeys = QueueKeys()

    def settings(self) -> Resilience:
        """Freeze it."""
        retries, breaker, given = self.retries, self.breaker, self.concurrency
        limit = given if isinstance(given, int) else MOST_AT_ONCE
        return Resilience(
            retries=retries.most if retries else 0,
            retry_share=retries.budget if retries else 0.0,
            retry_least=retries.min_per_second if retries else 0.0,
            breaker_failures=breaker.failures if breaker else 0,
            breaker_pause=breaker.pause if breaker else BreakerKeys().pause,
            concurrency=0 if given == _OFF else limit,
            adaptive=given == _ADAPTIVE,
            reserve=self.reserve,
            queue=self.queue.length,
            queue_wait=self.queue.wait,
        )
