"""What can go wrong on an upstream's wire, as one small tree."""

from __future__ import annotations

from typing import Literal

ConnectFault = Literal["dns", "refused", "network", "tls", "closed", "sockets", "proxy"]
Phase = Literal["connect", "first_token", "silence", "total"]


class HttpError(Exception):
    """The exchange did not end in a complete reply."""


class ConnectFailed(HttpError):
    """No connection: nothing was sent. `fault` is a bounded word for metrics; `sockets` is that
    this process or machine has none left, `proxy` that one does not let us through: `detail` is its
    status then."""

    def __init__(self, fault: ConnectFault, detail: str) -> None:
        super().__init__(f"cannot connect ({fault}): {detail}")
        self.fault: ConnectFault = fault
        self.detail = detail


class Broken(HttpError):
    """The connection was lost before the end of the reply, or the reply is not legal HTTP/1.1."""


class Stale(Broken):
    """A kept connection was already dead when it was used: it ended about a round trip after
    the request, before a byte of a reply. Met inside, it is retried once."""


class TooLarge(HttpError):
    """The reply's head or body is over the pool's cap."""


class TimedOut(HttpError):
    """One of the four limits passed; `phase` names it."""

    def __init__(self, phase: Phase) -> None:
        super().__init__(f"timed out: {phase}")
        self.phase: Phase = phase
