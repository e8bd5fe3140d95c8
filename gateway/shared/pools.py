"""One draw from one pool, wherever its state is kept as JSON."""

from __future__ import annotations

from typing import Any

from gateway.core.allowance import Bucket, Drawn, Pool, Share, draw_pool, draw_rate
from gateway.shared.port import LEASE, Draw


def drawn(state: Any, draw: Draw, now: float) -> tuple[Any, Drawn]:
    """Draw at `now`, UNIX seconds; return the state after it. Both are plain JSON values, None
    before the first draw."""
    if draw.terms.kind == "rate":
        bucket, came = draw_rate(Bucket(*state) if state else None, draw.terms, draw.ask, now)
        return [bucket.level, bucket.at], came
    closed, shares = state or (0, {})
    known = Pool(closed, {name: Share(*share) for name, share in shares.items()})
    pool, came = draw_pool(known, draw.terms, draw.ask, now, LEASE)
    return [
        pool.closed,
        {name: [each.used, each.kept, each.until] for name, each in pool.shares.items()},
    ], came
