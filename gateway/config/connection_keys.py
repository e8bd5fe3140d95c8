"""The shape of how an upstream that is spoken to over HTTP is connected to."""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainValidator

from gateway.config.fields import whole
from gateway.config.resilience_keys import ResilienceKeys

MOST_WARM = 64
"""Connections that one process opens ahead of use, to one upstream."""


class ConnectionKeys(ResilienceKeys):
    """What a server that is reached over HTTP has beside all upstreams."""

    warm: Annotated[int, PlainValidator(whole(0, MOST_WARM))] = 2
