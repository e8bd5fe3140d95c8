"""The shape of limits and budgets, of the state that they share, of keys and kept replies."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, PlainValidator

from gateway.config.fields import Flag, Secret, Tokens, ceiling, choice, whole
from gateway.config.quantities import seconds, size
from gateway.config.strict import STRICT
from gateway.core.limits import Budget

PERIODS = ("request", "session", "day", "month", "total")
ACTIONS = ("warn", "downgrade", "reject")
OUTAGES = ("open", "closed")
_SCHEMES = ("redis", "rediss", "unix")


class _Strict(BaseModel):
    model_config = STRICT


def zone(value: object) -> str:
    """A time zone, by its IANA name."""
    try:
        if isinstance(value, str) and value:
            return ZoneInfo(str(value)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise ValueError("must be a time zone such as UTC or Europe/Berlin")


def _dollars(value: object) -> int:
    amount = ceiling(value)
    if amount is None:
        raise ValueError("must be an amount in US dollars over 0, such as 0.25")
    return amount


def _budget(period: str, value: object) -> Budget | int:
    """Dollars, or dollars and what happens then; of a request dollars alone."""
    if period == "request":
        return _dollars(value)
    given = value if isinstance(value, dict) else {"usd": value}
    if "usd" not in given or set(given) - {"usd", "action", "outage"}:
        raise ValueError(
            f"{period} must be dollars, or {{usd: 50, action: downgrade, outage: closed}}"
        )
    try:
        action = choice(*ACTIONS)(given.get("action", "reject"))
        outage = choice(*OUTAGES)(given.get("outage", "open"))
        return Budget(period, _dollars(given["usd"]), action, outage)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{period} {error}") from error


def budgets(value: object) -> dict[str, Budget | int]:
    """A mapping of periods to budgets."""
    if not isinstance(value, dict) or not value or set(value) - set(PERIODS):
        raise ValueError(f"must be a mapping of {', '.join(PERIODS)} to dollars")
    return {period: _budget(period, value[period]) for period in PERIODS if period in value}


_Count = Annotated[int | None, PlainValidator(whole(1, 1_000_000_000))]


class TierLimitKeys(_Strict):
    """How much may be asked of a tier, by all."""

    rpm: _Count = None
    tpm: Tokens | None = None
    concurrency: _Count = None
    outage: Annotated[str, PlainValidator(choice(*OUTAGES))] = "open"


class LimitKeys(TierLimitKeys):
    """How much a key may use, or all that ask for a route."""

    budget_usd: Annotated[dict[str, Any], PlainValidator(budgets)] = {}
    time_zone: Annotated[str, PlainValidator(zone)] = "UTC"


def shared_url(value: object) -> str:
    """`memory://`, or a Redis server's address."""
    if value == "memory://":
        return "memory://"
    if isinstance(value, str):
        parts = urlsplit(value)
        if parts.scheme in _SCHEMES and (parts.hostname or parts.path):
            return str(value)
    raise ValueError("must be memory://, or redis://host:6379/0 (rediss:// with TLS)")


def _timeout(value: object) -> float:
    return seconds(value, least=0.005, most=5.0)


class SharedKeys(_Strict):
    """Where several processes meet."""

    url: Annotated[str, PlainValidator(shared_url)] = "memory://"
    timeout: Annotated[float, PlainValidator(_timeout)] = 0.1


class KeyStoreKeys(_Strict):
    """Whether there are keys in the ledger's database too."""

    enabled: Flag = False
    pepper: Secret = None


def _kept_for(value: object) -> float:
    return seconds(value, least=1)


def _largest(value: object) -> int:
    return size(value, most=16 << 20)


class ReplyCacheKeys(_Strict):
    """For how long a route's replies are kept, to be said again."""

    ttl: Annotated[float, PlainValidator(_kept_for)] = 3600.0
    largest: Annotated[int, PlainValidator(_largest)] = 256_000
