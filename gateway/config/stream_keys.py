"""The shape of what is about streams: early decisions, hedges, speculation."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import BaseModel, PlainValidator

from gateway.config import fields, quantities
from gateway.config.fields import Flag, Seconds, choice
from gateway.config.strict import STRICT

OFF = "off"


class _Keys(BaseModel):
    model_config = STRICT


def share_or_off(value: object) -> float | None:
    """A share, or off."""
    return None if value == OFF else quantities.share(value)


def some_share(value: object) -> float:
    """A share over 0."""
    amount = quantities.share(value)
    if amount == 0:
        raise ValueError("must be a share over 0, up to 1, or a percentage such as 5%")
    return amount


def seconds_or_off(value: object) -> float | None:
    """A duration, or off."""
    return None if value == OFF else quantities.seconds(value)


class EarlyKeys(_Keys):
    """What makes a held draft lost before its hold is over."""

    logprob: Annotated[float | None, PlainValidator(share_or_off)] = None
    refusal: Flag = False
    repetition: Flag = True
    format: Flag = True


class HedgeKeys(_Keys):
    """What is done against a slow first token."""

    after: Seconds = 1.5
    tier: Annotated[str, PlainValidator(choice("same", "next"))] = "same"
    share: Annotated[float, PlainValidator(some_share)] = 0.05


class SpeculateKeys(_Keys):
    """Where the second tier is started beside the first."""

    band: Annotated[tuple[float, float], PlainValidator(fields.band)] = (0.6, 0.8)
    after: Annotated[float, PlainValidator(partial(quantities.seconds, least=0))] = 0.0
