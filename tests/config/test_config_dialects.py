"""Which dialect a tier is asked in: its upstream's, or what it says itself."""

from __future__ import annotations

import pytest

from gateway.config import ConfigError, parse
from gateway.core.accepts import EVERYTHING, MESSAGES, RESPONSES
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


def test_a_tier_of_an_openai_upstream_may_be_asked_in_responses():
    spoken = FILE.replace("model: m,", "model: m, wire: responses,")
    tier = parse(spoken, "w.yaml", {}, open_book).tiers["small"]
    assert (tier.wire, tier.accepts) == ("responses", RESPONSES)


def test_what_a_server_of_messages_does_not_take_may_be_said():
    picky = FILE.replace("sk-ant-1", "sk-ant-1, parameters: {refuse: [json_schema], drop: [seed]}")
    accepts = parse(picky, "w.yaml", {}, open_book).tiers["large"].accepts
    assert accepts.refuse == MESSAGES.refuse | {"json_schema"}
    assert accepts.drop == {"seed"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("claude-opus-4-1,", "claude-opus-4-1, wire: chat,", "is settled by the kind of its up"),
        ("model: m,", "model: m, wire: messages,", "must be chat or responses"),
        ("upstream: claude", "upstream: [claude, near]", "speak different wires"),
        ("model: m,", "model: m, wire: responses, recipe: r.yaml,", "cannot have not_sure with"),
    ],
)
def test_what_cannot_be_is_refused(old, new, told, tmp_path):
    (tmp_path / "r.yaml").write_text("version: 1\nnot_sure: true\n")
    with pytest.raises(ConfigError, match=told):
        parse(FILE.replace(old, new), "w.yaml", {}, open_book, tmp_path)
