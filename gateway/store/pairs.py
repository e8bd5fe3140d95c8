"""Requests that two tiers have answered, each with a whole reply that was counted upstream."""

from __future__ import annotations

from collections import defaultdict

from gateway.store.connection import Connection

_PAIRS = """
SELECT other.tier, other.completion_tokens, base.completion_tokens
FROM "call" base JOIN "call" other ON other.request = base.request AND other.tier <> base.tier
WHERE base.tier = ? AND base.started_at >= ? AND other.started_at >= ?
  AND base.status = 'ok' AND other.status = 'ok' AND base.estimated = 0 AND other.estimated = 0
  AND (base.purpose = 'shadow' AND other.purpose = 'serve'
       OR base.purpose = 'serve' AND other.purpose = 'shadow')"""


def shadow_pairs(
    connection: Connection, baseline: str, since: float
) -> dict[str, list[tuple[int, int]]]:
    """Return the completion tokens of the pairs by the other tier, of requests since a UNIX time:
    the other tier's, and those of the tier `baseline`.

    Only pairs of which one was asked in the shadow: those were drawn, while what was escalated is
    the hard part of the traffic.
    """
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for tier, other, base in connection.execute(_PAIRS, (baseline, since, since)):
        found[tier].append((other, base))
    return dict(found)
