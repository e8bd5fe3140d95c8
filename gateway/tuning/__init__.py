"""Keeps thresholds in force that live traffic and labels call for, the same in every process.

state    what is known of a route's tuning, as the ledger keeps it
drift    how today's traffic differs from what thresholds and promises were made on
fit      from scores and labels of the past to the next state
tuned    what is in force, applied to each request
figures  how it stands, for metrics and for people
report   what changes of it, for the log
rounds   one look at the ledger: adopt, fit, put
keeper   a thread that goes round
"""

from __future__ import annotations

from gateway.tuning.keeper import Keeper
from gateway.tuning.tuned import Tuned, yardsticks

__all__ = ["Keeper", "Tuned", "yardsticks"]
