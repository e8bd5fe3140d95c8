"""What the ledger has of each model's calls, hour by hour: to hold against a provider's bill."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from gateway.core.rows import COST_COLUMNS
from gateway.store.sqlite import as_os_error, connect_to_read

HOUR: Final = 3600
_KINDS = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in COST_COLUMNS)
_CALLS = f"""
SELECT CAST(started_at / 3600 AS INTEGER) AS hour, upstream, model, status, error, estimated,
       count(*) AS calls, sum(prompt_tokens) AS prompt_tokens,
       sum(cached_tokens) AS cached_tokens, sum(cache_write_tokens) AS cache_write_tokens,
       sum(completion_tokens) AS completion_tokens, sum(cost) AS cost, {_KINDS}
FROM "call" WHERE started_at >= :since AND started_at < :until
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3"""  # noqa: S608 - ours


def recorded_calls(path: Path, since: float, until: float) -> list[Mapping[str, Any]]:
    """Add up the calls that started in [since, until), UNIX times in whole hours: by hour (so many
    since 1970), upstream, model, status, error, and whether their tokens are estimated. Money is
    in nano-dollars; by kind it is 0 where an older version kept none. Raises OSError when there is
    no ledger of this layout."""
    asked = {"since": since, "until": until}
    with as_os_error(path), closing(connect_to_read(path)) as connection:
        return [dict(row) for row in connection.execute(_CALLS, asked)]
