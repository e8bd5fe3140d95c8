"""What goes on an upstream's wire for a tier, and what of it must not come back to the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core.accepts import dropped, fit
from gateway.core.chat import ChatRequest
from gateway.core.demands import without_hint
from gateway.core.native import NativeRequest
from gateway.core.plan import Tier
from gateway.core.quick import quick
from gateway.core.recipes import apply

BOUNDS = ("max_tokens", "max_completion_tokens")
"""The two names of a reply's bound: a recipe that sets one replaces both."""


@quick
@dataclass(frozen=True, slots=True)
class Dispatch:
    """A body for the wire. `altered` says that it asks for more than the client did; the strip
    flags name what we asked for on our own account; `fitted` is what was dropped and renamed for
    its model, in the words of core/accepts.py. `native` is the client's own request, where the
    tier speaks its dialect."""

    body: Mapping[str, Any]
    altered: bool = False
    strip_usage: bool = False
    strip_logprobs: bool = False
    fitted: tuple[str, ...] = ()
    native: NativeRequest | None = None


def as_asked_of(tier: Tier, request: ChatRequest) -> ChatRequest:
    """Return the client's request as a check of the tier's reply must read it: a bound that the
    recipe set in place of the client's is not the client's."""
    if tier.recipe is None or not any(name in tier.recipe.params for name in BOUNDS):
        return request
    return ChatRequest({name: v for name, v in request.body.items() if name not in BOUNDS})


def dispatch(
    tier: Tier,
    request: ChatRequest,
    *,
    judged: bool,
    marker: str,
    bare: bool = False,
    escalated: bool = False,
) -> Dispatch:
    """Write the client's request in the tier's model and recipe.

    `judged` asks for the log-probabilities that the tier's bar needs. `bare` leaves out every
    addition of ours. `escalated` adds the recipe's hand-over note.
    """
    early = request.stream and tier.bar.early.logprob is not None
    needs_logprobs = judged and (tier.bar.needs_logprobs or early)
    takes_logprobs = "logprobs" not in tier.accepts.refuse
    ask_logprobs = needs_logprobs and takes_logprobs and not request.wants_logprobs
    asked = without_hint(request.body, tier, logprobs=ask_logprobs and not bare)
    body = {**asked, "model": tier.model}
    native, lost = _native(tier, request)
    if bare:
        fitted, done = fit(body, tier.accepts)
        return Dispatch(fitted, fitted=(*done, *lost), native=native)
    if tier.recipe is not None:
        recipe = tier.recipe.handed_over() if escalated else tier.recipe
        body["messages"] = apply(recipe, request.messages, marker)
        if any(name in tier.recipe.params for name in BOUNDS):
            body = {name: value for name, value in body.items() if name not in BOUNDS}
        body |= tier.recipe.params
    if ask_logprobs:
        body["logprobs"] = True
        body["top_logprobs"] = 1  # left out, some servers send twenty alternatives a token
    ask_usage = request.stream and not request.wants_usage
    if ask_usage:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    altered = tier.recipe is not None or ask_logprobs or ask_usage
    fitted, done = fit(body, tier.accepts)
    return Dispatch(fitted, altered, ask_usage, ask_logprobs, (*done, *lost), native)


def _native(tier: Tier, request: ChatRequest) -> tuple[NativeRequest | None, tuple[str, ...]]:
    """Return the client's own request if the tier speaks its dialect, else what is lost of it."""
    own = request.native
    if own is None:
        return None, ()
    return (own, ()) if own.wire == tier.wire else (None, dropped(own.dropped))
