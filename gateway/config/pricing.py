"""From what is written of a price to the price: bands, tiers of service, models hosted by GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.config.price_keys import Bands, HostedKeys, PriceKeys
from gateway.config.problems import Trail
from gateway.config.text import Document
from gateway.core.money import Price, per_million


def read_price(document: Document, trail: Trail, keys: PriceKeys) -> Price:
    """Make the price that `keys` say, not yet sealed; what is missing is a problem of `document`.

    What a band does not say is as in the band under it; what a tier of service does not say, as in
    the common one, its bands included.
    """
    for name in ("input", "output"):
        said = getattr(keys, name) is not None
        if said and keys.hosted is not None:
            document.problem((*trail, name), "means nothing beside hosted; remove one of them")
        elif not said and keys.hosted is None:
            document.problem((*trail, name), "is required")
    common = Price(**{**_hosted(keys.hosted), **keys.rates()})
    services = {
        name: _banded(replace(common, **service.rates()), keys.above, service.above)
        for name, service in keys.services.items()
    }
    return replace(_banded(common, keys.above), services=tuple(services.items()))


def is_free(price: Price) -> bool:
    """Does nothing that it has a price for cost anything?"""
    return not any(
        part.input or part.output or part.request
        for part in (price, *(each for _, each in (*price.bands, *price.services)))
    )


def _hosted(keys: HostedKeys | None) -> dict[str, Any]:
    """By the GPUs' time: an hour's price over the tokens that are really served in an hour."""
    if keys is None:
        return {}
    reading, writing = keys.tokens_per_second
    return {
        "input": per_million(keys.gpu_hour, reading, keys.utilisation),
        "output": per_million(keys.gpu_hour, writing, keys.utilisation),
    }


def _banded(price: Price, *said: Bands) -> Price:
    """Give a price its bands; of what is said of one, the last word counts."""
    bands, rates = [], price
    for above in sorted({above for each in said for above in each}):
        for each in said:
            if above in each:
                rates = replace(rates, **each[above].rates())
        bands.append((above, rates))
    return replace(price, bands=tuple(bands))
