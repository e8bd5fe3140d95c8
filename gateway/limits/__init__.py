"""Who may spend what: limits of requests, tokens and calls at once, and budgets in dollars.

periods     a moment's day and month, in a time zone
account     one allowance in this worker
accounts    all of them; tells the shared state what has become of them
admission   lets a request in or turns it away, and settles what it came to
upstream    a tier's own limits, where its calls are made
"""

from __future__ import annotations

from gateway.limits.accounts import Accounts
from gateway.limits.admission import Admission, Admitted, Scope, rate_headers
from gateway.limits.upstream import limited

__all__ = ["Accounts", "Admission", "Admitted", "Scope", "limited", "rate_headers"]
