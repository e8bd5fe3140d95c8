"""What is running, by version: the labels of a metric."""

from __future__ import annotations

from collections.abc import Iterable

import gateway
from gateway.api.service import Service
from gateway.config import Settings

_LABEL = 200


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


def _joined(versions: Iterable[str]) -> str:
    """Join what is distinct, in order, within the length of a label."""
    told = ", ".join(sorted({version for version in versions if version}))
    return told if len(told) <= _LABEL else f"{told[: _LABEL - 3]}..."
