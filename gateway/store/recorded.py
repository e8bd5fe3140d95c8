"""What the ledger has of each model's calls, hour by hour: to hold against a provider's bill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.rows import COST_COLUMNS
from gateway.store.blocks import plain
from gateway.store.connection import Place
from gateway.store.doubts import DOUBT
from gateway.store.ledgers import ledger_at, reading
from gateway.store.rollups import kept_from

HOUR: Final = 3600
_KINDS = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in COST_COLUMNS)
# A server rounds where SQLite cuts.
_HOUR: Final = ("CAST(started_at / 3600 AS INTEGER)", "CAST(floor(started_at / 3600) AS BIGINT)")
_KEYS: Final = ("hour", "upstream", "model", "status", "error", "estimated", "doubt")
_CALLS = f"""
SELECT {{hour}} AS hour, upstream, model, status, error, estimated, {DOUBT} AS doubt,
       count(*) AS calls, sum(prompt_tokens) AS prompt_tokens,
       sum(cached_tokens) AS cached_tokens, sum(cache_write_tokens) AS cache_write_tokens,
       sum(completion_tokens) AS completion_tokens, sum(cost) AS cost, {_KINDS}
FROM "call" AS c WHERE started_at >= :since AND started_at < :until
GROUP BY 1, 2, 3, 4, 5, 6, 7"""  # noqa: S608 - ours


def recorded_calls(place: Place, since: float, until: float) -> list[Mapping[str, Any]]:
    """Add up the calls that started in [since, until), UNIX times in whole hours: by hour (so many
    since 1970), upstream, model, status, error, whether their tokens are estimated, and what is in
    doubt of their cost (`doubts`). Money is in nano-dollars; by kind it is 0 where an older version
    kept none. Raises OSError when there is no ledger of this layout."""
    asked = {"since": since, "until": until}
    sql = _CALLS.format(hour=ledger_at(place).forms(_HOUR))
    with reading(place) as connection:
        rows = [plain(row) for row in connection.execute(sql, asked)]
    return sorted(rows, key=lambda row: [row[name] for name in _KEYS])


def recorded_from(place: Place) -> int:
    """Return the UNIX time before which calls may have been deleted; 0 where none were. Raises
    OSError when there is no ledger of this layout."""
    with reading(place) as connection:
        return kept_from(connection)


_USED = """
SELECT count(*) AS calls, avg(prompt_tokens) AS prompt, avg(cached_tokens) AS cached,
       avg(completion_tokens) AS output, min(started_at) AS first, max(started_at) AS last
FROM "call" WHERE tier = :tier AND purpose = 'serve' AND status = 'ok' AND started_at >= :since"""
_STARTED = """
SELECT count(*) AS requests, coalesce(sum(escalated), 0) AS escalated FROM request
WHERE start_tier = :tier AND started_at >= :since"""


_DAY: Final = ("CAST(started_at / 86400 AS INTEGER)", "CAST(floor(started_at / 86400) AS BIGINT)")
_USED_BY_DAY = """
SELECT {day} AS day, count(*) AS calls, sum(prompt_tokens) AS prompt, sum(cached_tokens) AS cached,
       sum(completion_tokens) AS output
FROM "call" WHERE tier = :tier AND purpose = 'serve' AND status = 'ok' AND started_at >= :since
GROUP BY 1 ORDER BY 1"""
_STARTED_BY_DAY = """
SELECT {day} AS day, count(*) AS requests, coalesce(sum(escalated), 0) AS escalated FROM request
WHERE start_tier = :tier AND started_at >= :since GROUP BY 1"""


def usage_by_day(place: Place, tier: str, since: float) -> list[Mapping[str, float]]:
    """Add up what `tier_usage` takes the means of, by the days (UTC) that have answered calls.
    Raises OSError when there is no ledger of this layout."""
    asked = {"tier": tier, "since": since}
    day = ledger_at(place).forms(_DAY)
    with reading(place) as connection:
        used = connection.execute(_USED_BY_DAY.format(day=day), asked).fetchall()
        started = connection.execute(_STARTED_BY_DAY.format(day=day), asked).fetchall()
    starts = {row["day"]: plain(row) for row in started}
    nothing = {"requests": 0, "escalated": 0}
    return [{**nothing, **starts.get(row["day"], {}), **plain(row)} for row in used]


def tier_usage(place: Place, tier: str, since: float) -> dict[str, float | None]:
    """What a tier's answered calls were like since a UNIX time: how many, from when to when, and
    their mean tokens; and of the requests that started there, how many, and how many escalated.
    Means are None without any. Raises OSError when there is no ledger of this layout."""
    asked = {"tier": tier, "since": since}
    with reading(place) as connection:
        used = connection.execute(_USED, asked).fetchone()
        return {**plain(used), **plain(connection.execute(_STARTED, asked).fetchone())}
