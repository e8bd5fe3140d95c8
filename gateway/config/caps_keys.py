"""The shape of what bounds a request's multipliers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, PlainValidator

from gateway.config.fields import Tokens, whole
from gateway.config.strict import STRICT
from gateway.core.room import Caps


class CapKeys(BaseModel):
    """The most of each that a request may have."""

    model_config = STRICT
    messages: Annotated[int, PlainValidator(whole(1, 100_000))] = 10_000
    parts: Annotated[int, PlainValidator(whole(1, 1_000_000))] = 10_000
    tools: Annotated[int, PlainValidator(whole(0, 10_000))] = 2_000
    n: Annotated[int, PlainValidator(whole(1, 1024))] = 128
    max_tokens: Tokens = 10_000_000
    stop: Annotated[int, PlainValidator(whole(0, 1000))] = 64
    logit_bias: Annotated[int, PlainValidator(whole(0, 100_000))] = 10_000
    top_logprobs: Annotated[int, PlainValidator(whole(0, 1000))] = 20
    inputs: Annotated[int, PlainValidator(whole(1, 1_000_000))] = 10_000

    def settings(self) -> Caps:
        """Freeze them."""
        return Caps(**self.model_dump())
