"""From an upstream's settings to the upstream, of whatever kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from gateway.config import SimulatedSettings, UpstreamSettings
from gateway.core.ports import Upstream
from gateway.upstreams.http1 import Timeouts
from gateway.upstreams.http_port import Connections
from gateway.upstreams.openai import OpenAIUpstream
from gateway.upstreams.simulated import (
    Accuracy,
    Behaviour,
    Length,
    Model,
    Pace,
    SimulatedUpstream,
    load_answers,
    read_rules,
)
from gateway.upstreams.through_litellm import INSTALL, LitellmUpstream, is_there

_SPREAD = 0.3
"""Sigma of a simulated model's log-normal times."""


class UpstreamUnusable(Exception):
    """An upstream's settings cannot be carried out; the message says why."""


def open_upstream(settings: UpstreamSettings) -> Upstream:
    """Open an upstream; connections are made as calls need them. Raises UpstreamUnusable."""
    if settings.kind == "litellm":
        if not is_there():
            told = f"kind litellm takes litellm, which is not installed: {INSTALL}"
            raise UpstreamUnusable(f"Upstream {settings.name}: {told}.")
        return LitellmUpstream(settings)
    if settings.simulated is None:
        timeouts = Timeouts(**asdict(settings.timeouts))
        try:
            elsewise = _elsewise(settings) if settings.proxy or settings.http2 else None
            return OpenAIUpstream(
                settings.name,
                settings.base_url,
                settings.api_key,
                timeouts,
                key_header=settings.key_header,
                warm=settings.warm,
                connections=elsewise,
            )
        except ValueError as error:
            raise UpstreamUnusable(f"Upstream {settings.name}: {error}.") from error
    limits = settings.timeouts
    return SimulatedUpstream(
        settings.name,
        _behaviour(settings.simulated),
        first_token=limits.first_token,
        silence=limits.silence,
        total=limits.total,
    )


def _elsewise(settings: UpstreamSettings) -> Connections:
    """Connect as our own client cannot. Raises UpstreamUnusable, and ValueError."""
    # On demand: httpx is a twentieth of what the gateway takes to start.
    from gateway.upstreams.through_httpx import (  # noqa: PLC0415
        INSTALL,
        HttpxPool,
        speaks_http2,
    )

    if settings.http2 and not speaks_http2():
        told = f"http2 takes h2, which is not installed: {INSTALL}"
        raise UpstreamUnusable(f"Upstream {settings.name}: {told}.")
    return HttpxPool(settings.base_url, proxy=settings.proxy, http2=settings.http2)


def _behaviour(settings: SimulatedSettings) -> Behaviour:
    try:
        answers = load_answers(settings.answers) if settings.answers else {}
    except (OSError, ValueError) as error:
        raise UpstreamUnusable(f"The answer key cannot be used: {error}") from error
    share = settings.accuracy
    by_model = share if isinstance(share, Mapping) else {}
    rates = (("500", settings.error_rate), ("stall", settings.stall_rate))
    return Behaviour(
        seed=settings.seed,
        models={name: _model(settings, value) for name, value in by_model.items()},
        default=_model(settings, 1.0 if isinstance(share, Mapping) else share),
        answers=answers,
        rules=read_rules([{"fault": fault, "chance": rate} for fault, rate in rates if rate]),
    )


def _model(settings: SimulatedSettings, accuracy: float) -> Model:
    low, high = settings.tokens
    return Model(
        accuracy=Accuracy(accuracy, accuracy),
        length=Length(median=(low + high) / 2, most=high, least=low),
        pace=Pace(settings.first_token, _SPREAD, settings.per_token, _SPREAD),
    )
