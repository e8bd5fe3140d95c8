from __future__ import annotations

from gateway.core import ports
from gateway.core.plan import Tier


def test_a_call_is_bounded_only_by_who_asks_for_it():
    call = ports.UpstreamCall("id", Tier("small", "near", "mini"), {}, False, lambda: None)
    assert call.timeout == float("inf")
    assert (call.strip_usage, call.strip_logprobs) == (False, False)
