"""The keys of an upstream that speaks another wire than OpenAI's."""

from __future__ import annotations

from gateway.config.connection_keys import ConnectionKeys
from gateway.config.fields import Filled, Secret
from gateway.config.models import ParameterKeys, TimeoutKeys
from gateway.config.resilience_keys import ResilienceKeys


class LitellmUpstream(ResilienceKeys):
    """A provider that litellm speaks to; the tiers' models say which."""

    kind: str = "litellm"
    base_url: Filled | None = None
    api_key: Secret = None
    timeouts: TimeoutKeys = TimeoutKeys()
    parameters: ParameterKeys = ParameterKeys()


class AnthropicUpstream(ConnectionKeys):
    """A server that speaks Anthropic's Messages."""

    base_url: Filled = "https://api.anthropic.com/v1"
    kind: str = "anthropic"
    api_key: Secret = None
    timeouts: TimeoutKeys = TimeoutKeys()
    parameters: ParameterKeys = ParameterKeys()
