"""What is running, by version: the labels of a metric; and how old its prices are."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime

import gateway
from gateway.api.service import Service
from gateway.config import Settings

_LABEL = 200
_DATE = re.compile(r"(?:^| )([0-9]{4}-[0-9]{2}-[0-9]{2})$")


def build_info(settings: Settings, service: Service) -> dict[str, str]:
    """Return build_info's labels; of several versions, all that fit."""
    tiers = settings.tiers.values()
    return {
        "version": gateway.__version__,
        "config_hash": settings.digest,
        "scorer_version": _joined(map(service.scorer_label, settings.routes)),
        "recipe_version": _joined(tier.recipe.label for tier in tiers if tier.recipe),
        "price_version": _joined(tier.price.version for tier in tiers),
    }


def priced_at(settings: Settings) -> float | None:
    """Return the UNIX time of the oldest price in force; None where no price book dates one.

    A price book's version ends in the day that its prices were looked up.
    """
    versions = (tier.price.version for tier in settings.tiers.values())
    days = [found[1] for version in versions if (found := _DATE.search(version))]
    dates = []
    for day in days:
        with contextlib.suppress(ValueError):  # it only looks like one, such as a 31 February
            dates.append(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    return min(dates, default=None)


def _joined(versions: Iterable[str]) -> str:
    """Join what is distinct, in order, within the length of a label."""
    told = ", ".join(sorted({version for version in versions if version}))
    return told if len(told) <= _LABEL else f"{told[: _LABEL - 3]}..."
