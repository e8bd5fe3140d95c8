"""Facts of a reply that say a little of whether it is good, for nothing: do its sums come out, and
how long did it become? A fitted combiner makes a confidence of them."""

from __future__ import annotations

from typing import Final

from gateway.checks.sums import sums
from gateway.core.chat import ChatRequest, Reply
from gateway.core.verdict import ABSTAIN, Finding

_LONG: Final = 800
"""Characters at which brevity is a half."""


def arithmetic(request: ChatRequest, reply: Reply) -> Finding:
    """Work out the sums that a reply states (`12 * 3 = 36`); its confidence is the share of them
    that come out. Abstains where there are none."""
    del request
    if not reply.complete:
        return ABSTAIN
    found = [right for choice in reply.choices for right in sums(choice.text)]
    return Finding("pass", confidence=sum(found) / len(found)) if found else ABSTAIN


def brevity(request: ChatRequest, reply: Reply) -> Finding:
    """Say how short a reply is, from 1 for nothing at all to 0. What goes on for long is often
    lost; how often, a combiner must know: by itself this is no confidence."""
    del request
    if not reply.complete or not reply.choices:
        return ABSTAIN
    longest = max(len(choice.text) for choice in reply.choices)
    return Finding("pass", confidence=_LONG / (_LONG + longest))
