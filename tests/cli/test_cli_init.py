"""`waterfall init` writes a sound configuration from what is there, and carries LiteLLM's over."""

from __future__ import annotations

import hashlib

import pytest
from cli.standing import standing

from gateway.cli import finding, main
from gateway.cli.composing import compose
from gateway.cli.finding import ANTHROPIC, Found, Server, look, size_of
from gateway.config import parse
from gateway.config.presets import presets
from gateway.prices import open_book

KNOWN = presets()
KEYS = [preset.key for preset in (*KNOWN.values(), ANTHROPIC) if preset.key]


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No key in the environment, no server but those that a test starts."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    places = {}
    real = finding.look
    monkeypatch.setattr(finding, "look", lambda environ: real(environ, places.items()))
    return places


@pytest.mark.parametrize("name", [*(n for n, p in KNOWN.items() if p.pair), "anthropic"])
def test_each_provider_s_key_makes_a_sound_configuration(name):
    preset = ANTHROPIC if name == "anthropic" else KNOWN[name]
    environ = {preset.key: "sk-1"}
    found = look(environ, [])
    assert [each.name for each in found.providers] == [name]
    settings = parse(compose(found), "w.yaml", environ, open_book)
    assert list(settings.tiers) == ["small", "large"]
    assert settings.upstreams[name].api_key == "sk-1"
    assert settings.warnings == ()


def test_a_server_here_is_the_small_tier_and_a_provider_the_large_one():
    near = Server(KNOWN["llamacpp"], KNOWN["llamacpp"].base_url, ("a-1b", "b-70b"))
    found = Found((KNOWN["openai"],), (near,))
    settings = parse(compose(found), "w.yaml", {"OPENAI_API_KEY": "k"}, open_book)
    assert [tier.model for tier in settings.tiers.values()] == ["a-1b", "gpt-5"]
    assert settings.server.port == 8081  # llama.cpp's own is 8080
    alone = parse(compose(Found((), (near,))), "w.yaml", {}, open_book)
    assert [tier.model for tier in alone.tiers.values()] == ["a-1b", "b-70b"]
    one = Server(KNOWN["ollama"], "http://127.0.0.1:1234/v1", ("only",))
    single = parse(compose(Found((), (one,))), "w.yaml", {}, open_book)
    assert [tier.model for tier in single.tiers.values()] == ["only"]
    assert single.upstreams["ollama"].base_url == "http://127.0.0.1:1234/v1"


def test_sizes_are_read_from_names():
    names = ["llama3.3:70b", "qwen3-0.6b", "phi", "Qwen2.5-7B-Instruct"]
    assert sorted(names, key=size_of) == [names[1], names[3], names[0], names[2]]


def test_it_finds_a_server_writes_and_does_not_write_twice(bare, capsys, tmp_path):
    with standing() as url:
        bare["ollama"] = f"{url}/well/v1"
        bare["vllm"] = "http://127.0.0.1:9/v1"
        assert main(["init"]) == 0
    told = capsys.readouterr().out
    assert "found ollama at" in told
    assert "small (tiny-3b) -> large (huge-70b)" in told
    path = tmp_path / "waterfall.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_text()
    assert main(["init"]) == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == before
    assert main(["check"]) == 0


def test_nothing_to_begin_with(bare, capsys, tmp_path):
    assert main(["init"]) == 1
    told = capsys.readouterr().err
    assert "OPENAI_API_KEY" in told
    assert "ollama at" in told
    assert not (tmp_path / "waterfall.yaml").exists()
    assert main(["serve", "--auto"]) == 1


PROXY = """\
model_list:
  - model_name: cheap
    litellm_params: {model: openai/gpt-5-mini, api_key: os.environ/OPENAI_API_KEY, rpm: 9}
  - model_name: best
    litellm_params: {model: azure/my-gpt, api_base: "https://acme.openai.azure.com", api_key: sk-az}
    model_info: {input_cost_per_token: 0.00000125, output_cost_per_token: 1.0e-05}
  - model_name: best
    litellm_params: {model: openai/gpt-5}
  - model_name: local
    litellm_params: {model: ollama/llama3.2, api_base: "http://127.0.0.1:11434"}
  - model_name: claude
    litellm_params: {model: anthropic/claude-haiku-4-5, api_key: os.environ/ANTHROPIC_API_KEY}
  - model_name: "*"
    litellm_params: {model: "openai/*"}
  - model_name: bed
    litellm_params: {model: bedrock/anthropic.claude-v2}
  - model_name: vectors
    litellm_params: {model: openai/gpt-5-nano}
    model_info: {mode: embedding}
  - model_name: small-vectors
    litellm_params: {model: openai/text-embedding-3-small}
  - model_name: unpriced
    litellm_params: {model: openai/never-heard-of}
router_settings: {routing_strategy: simple-shuffle, num_retries: 2}
general_settings: {master_key: sk-master}
"""


def test_a_litellm_proxy_s_configuration_is_carried_over(bare, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-2")
    (tmp_path / "proxy.yaml").write_text(PROXY)
    assert main(["init", "--from-litellm", "proxy.yaml"]) == 0
    told = capsys.readouterr().out
    for left in ("model *:", "provider bedrock", "never-heard-of", "second deployment", "rpm of",
                 "model vectors (embedding): it answers no chat", "model small-vectors",
                 "router_settings.num_retries"):  # fmt: skip
        assert left in told, left
    written = (tmp_path / "waterfall.yaml").read_text()
    environ = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2"}
    settings = parse(written, "waterfall.yaml", environ, open_book)
    assert set(settings.tiers) == {"cheap", "best", "local", "claude"}
    assert [tier.name for tier in settings.routes["waterfall"].tiers] == ["local", "best"]
    azure = settings.upstreams["azure"]
    assert (azure.base_url, azure.api_key) == ("https://acme.openai.azure.com/openai/v1", "sk-az")
    assert settings.upstreams["claude" if "claude" in settings.upstreams else "anthropic"].api_key
    assert settings.tiers["best"].price.output == 10_000_000_000
    (key,) = settings.keys
    assert key.digest == hashlib.sha256(b"sk-master").digest()
    assert "sk-master" not in written


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model_list: [", "not YAML"),
        ("a: 1", "no model_list"),
        (b"model_list: \xff", "no text in UTF-8 (byte 12)"),
        ("model_list: [{model_name: a}]", "none of its models"),
    ],
)
def test_what_cannot_be_carried_over(bare, capsys, tmp_path, text, told):
    (tmp_path / "proxy.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["init", "--from-litellm", "proxy.yaml"]) == 2
    assert told in capsys.readouterr().err
    assert main(["init", "--from-litellm", "nowhere.yaml"]) == 2
    assert not (tmp_path / "waterfall.yaml").exists()
