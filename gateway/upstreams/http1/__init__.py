"""The gateway's own HTTP/1.1 client: one pool an origin, one exchange a call.

It exists because a gateway cancels, hedges and streams all day: the general clients cost 3 to 60
times the CPU or lose their pool to cancelled calls.
"""

from __future__ import annotations

from gateway.upstreams.http1.errors import (
    Broken,
    ConnectFailed,
    HttpError,
    Stale,
    TimedOut,
    TooLarge,
)
from gateway.upstreams.http1.exchange import Exchange
from gateway.upstreams.http1.pool import Pool
from gateway.upstreams.http1.reply import Sink
from gateway.upstreams.http1.request import Headers
from gateway.upstreams.http1.timeouts import Timeouts

__all__ = [
    "Broken",
    "ConnectFailed",
    "Exchange",
    "Headers",
    "HttpError",
    "Pool",
    "Sink",
    "Stale",
    "TimedOut",
    "Timeouts",
    "TooLarge",
]
