"""Calls whose cost is in doubt, in the words that the metrics have for it: what nobody has priced
is booked at nothing, and a tier of service that has no price at the common one."""

from __future__ import annotations

from typing import Final

from gateway.core.money import STANDARD

MISSING_PRICE: Final = "missing_price"
MISSING_RATE: Final = "missing_rate"
_COMMON = ", ".join(f"'{word}'" for word in sorted(STANDARD))
# What an older version kept, without prices, is not told by them.
_USED = "(c.status = 'ok' OR c.prompt_tokens > 0 OR c.completion_tokens > 0)"
_NO_PRICE = f"c.price_hash = '' AND c.cost = 0 AND c.input_cost IS NOT NULL AND {_USED}"
_NO_RATE = (
    f"c.cost > 0 AND c.service_tier NOT IN ({_COMMON}) AND c.rate <> c.service_tier "
    "AND substr(c.rate, 1, length(c.service_tier) + 1) <> c.service_tier || ' '"
)
DOUBT: Final = (
    f"CASE WHEN {_NO_PRICE} THEN '{MISSING_PRICE}' WHEN {_NO_RATE} THEN '{MISSING_RATE}' "
    "ELSE '' END"
)
"""What is in doubt of a call `c`: one of these words, or nothing."""
IN_DOUBT: Final = f"(({_NO_PRICE}) OR ({_NO_RATE}))"
"""Is anything?"""
