"""Which dialect a tier is asked in follows from its upstream."""

from __future__ import annotations

from gateway.config import parse
from gateway.core.accepts import EVERYTHING, MESSAGES
from gateway.prices import open_book

FILE = """\
upstreams:
  claude: {kind: anthropic, api_key: sk-ant-1}
  near: {base_url: "http://127.0.0.1:1/v1"}
tiers:
  small: {upstream: near, model: m, price: free}
  large: {upstream: claude, model: claude-opus-4-1, price: {input: 15, output: 75}}
routes:
  waterfall: {tiers: [small, large]}
"""


def test_a_tier_is_asked_in_its_upstream_s_dialect():
    settings = parse(FILE, "w.yaml", {}, open_book)
    tiers = settings.tiers
    assert [(tier.wire, tier.accepts) for tier in tiers.values()] == [
        ("chat", EVERYTHING),
        ("messages", MESSAGES),
    ]
    claude = settings.upstreams["claude"]
    assert (claude.kind, claude.key_header) == ("anthropic", "x-api-key")
    assert claude.base_url == "https://api.anthropic.com/v1"
