"""Who answers what is passed through, and what is asked of the upstreams that keep responses."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.config import UpstreamSettings
from gateway.config.settings import PassthroughSettings
from gateway.core.money import Price
from gateway.core.passing import PREFIX
from gateway.core.plan import Tier
from gateway.engine import Parts

if TYPE_CHECKING:
    from gateway.upstreams.passing import PassingClient


@dataclass(frozen=True)
class Passing:
    """What passing through takes: the upstream of each group, their clients, prices by model; and
    the upstreams that keep responses."""

    parts: Parts
    upstreams: Mapping[str, str]
    clients: Mapping[str, PassingClient]
    prices: Mapping[str, Price]
    max_upload: int
    keeping: Collection[str] = ()

    @property
    def tiers(self) -> list[Tier]:
        """The tiers that records and metrics have for it."""
        answers = [*self.upstreams.items(), *(("responses", name) for name in self.keeping)]
        return [Tier(PREFIX + group, upstream, "") for group, upstream in answers]

    async def aclose(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(each.aclose() for each in self.clients.values()))


def open_passing(
    parts: Parts,
    settings: PassthroughSettings,
    upstreams: Mapping[str, UpstreamSettings],
    keeping: Collection[str] = (),
) -> Passing:
    """Open what a configuration passes through, and what is asked of the upstreams that keep
    responses; connections are made as they are needed."""
    names = {*settings.upstreams.values(), *keeping}
    if not names:
        return Passing(parts, {}, {}, {}, settings.max_upload)
    # httpx is a twentieth of what the gateway takes to start: only those pay for it who use it.
    from gateway.upstreams.passing import PassingClient  # noqa: PLC0415

    clients = {name: PassingClient(upstreams[name], settings.timeout) for name in names}
    own = settings.prices, settings.max_upload
    return Passing(parts, settings.upstreams, clients, *own, sorted(keeping))
