"""Which day or month a moment is in, in a time zone, and when that is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.core.limits import Period


def window(period: Period, at: float, zone: str) -> tuple[str, float | None]:
    """Return the name of the period that `at`, UNIX seconds, lies in, and the UNIX time of its
    end; None for those that have none."""
    if period not in {"day", "month"}:
        return period, None
    place = ZoneInfo(zone)
    day = datetime.fromtimestamp(at, tz=UTC).astimezone(place).date()
    if period == "day":
        name, after = day.isoformat(), day + timedelta(days=1)
    else:
        name = f"{day:%Y-%m}"
        after = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return name, datetime(after.year, after.month, after.day, tzinfo=place).timestamp()
