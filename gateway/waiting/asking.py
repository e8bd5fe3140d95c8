"""One question to a model, on the account of whoever asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.accepts import fit
from gateway.core.chat import Delta
from gateway.core.money import Usage
from gateway.core.plan import Tier
from gateway.core.ports import Calls, OnSent, Upstream, UpstreamCall


async def ask(
    calls: Calls,
    upstream: Upstream,
    tier: Tier,
    body: Mapping[str, Any],
    guess: Usage,
    seconds: float,
) -> list[Delta]:
    """Make one plain call, as the tier's model takes it, and return what came. Raises
    UpstreamError."""
    body, _ = fit(body, tier.accepts)

    async def send(on_sent: OnSent) -> tuple[list[Delta], Usage | None]:
        got: list[Delta] = []

        async def receive(delta: Delta) -> bool:
            got.append(delta)
            return True

        await upstream.call(UpstreamCall("", tier, body, False, on_sent, timeout=seconds), receive)
        return got, next((delta.usage for delta in got if delta.usage is not None), None)

    return await calls.make(tier, guess, seconds, send)


def said(got: Sequence[Delta]) -> str:
    """Return the text of the first choice."""
    return "".join(piece.text for delta in got for piece in delta.pieces if piece.index == 0)
