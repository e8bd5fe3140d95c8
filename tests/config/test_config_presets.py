"""Presets: each is whole, each has a configuration that loads, and each says what it takes."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from gateway.cli import main
from gateway.config import load, presets
from gateway.config.presets import merged
from gateway.core.accepts import DEMANDS, EVERYTHING, MEANINGFUL, Accepts
from gateway.prices import open_book

ROOT = Path(__file__).parents[2]
KNOWN = presets.presets()
FILES = sorted((ROOT / "deploy" / "providers").glob("*.yaml"))


@pytest.mark.parametrize("name", KNOWN)
def test_a_preset_is_whole(name):
    preset = KNOWN[name]
    assert preset.source.startswith("https://")
    url = urlsplit(preset.base_url)
    assert name == "azure" or (url.scheme == "https") == bool(preset.key)
    assert preset.header in {"authorization", "api-key"}
    for takes in (preset.accepts, *(each.accepts for each in preset.models)):
        assert takes.refuse <= set(DEMANDS)
        assert not takes.drop & MEANINGFUL
        assert not takes.drop & (takes.rename.keys() | set(takes.rename.values()))
    keys = {"base_url", "key", "header", "source", "drop", "rename", "refuse", "models", "pair"}
    written = yaml.safe_load((Path(presets.__file__).with_name("presets.yaml")).read_text())[name]
    assert set(written) <= keys
    assert {k for m in written.get("models", ()) for k in m} <= keys | {"like", "unlike"}


def test_there_is_a_configuration_for_at_least_ten():
    assert len(FILES) >= 10
    assert {file.stem for file in FILES} <= set(KNOWN)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_its_twenty_lines_pass_check(file, monkeypatch, capsys):
    assert len(file.read_text("utf-8").splitlines()) <= 20
    environ = {preset.key: "sk-1" for preset in KNOWN.values() if preset.key}
    for name, value in (environ | {"AZURE_OPENAI_RESOURCE": "acme"}).items():
        monkeypatch.setenv(name, value)
    assert main(["check", "--config", str(file)]) == 0
    told = capsys.readouterr().out
    assert "sound" in told
    assert "warning" not in told
    upstream = next(iter(load(file, environ | {"AZURE_OPENAI_RESOURCE": "acme"}, open_book)
                         .upstreams.values()))  # fmt: skip
    assert (upstream.preset, bool(upstream.api_key)) == (file.stem, bool(KNOWN[file.stem].key))


def test_what_init_begins_with_is_what_is_written_out_here():
    pairs = {name: preset.pair for name, preset in KNOWN.items() if preset.pair}
    written = {file.stem: yaml.safe_load(file.read_text("utf-8"))["tiers"] for file in FILES}
    assert len(pairs) >= 8
    for name, pair in pairs.items():
        tiers = written.get(name, {})
        if tiers:
            own = {t: {k: v for k, v in e.items() if k != "upstream"} for t, e in tiers.items()}
            assert own == pair, name


def test_a_model_has_its_provider_s_list_and_its_own():
    openai, deepseek = KNOWN["openai"], KNOWN["deepseek"]
    for model in ("gpt-5-mini", "o3", "openai/gpt-5"):
        assert openai.takes(model).rename == {"max_tokens": "max_completion_tokens"}
        assert "logprobs" in openai.takes(model).refuse
    for model in ("gpt-4o", "gpt-5-chat-latest"):
        assert openai.takes(model) == EVERYTHING
    assert "logprobs" not in deepseek.takes("deepseek-chat").refuse
    assert {"logprobs", "images"} <= deepseek.takes("deepseek-reasoner").refuse


def test_lists_are_merged_and_a_rename_wins_over_a_drop():
    first, second = Accepts(frozenset({"a", "b"}), {"c": "d"}), Accepts(rename={"a": "x", "c": "e"})
    assert merged([first, second]) == Accepts(frozenset({"b"}), {"a": "x", "c": "e"})


def test_an_upstream_by_its_preset(read, small):
    own = (
        'preset: azure, parameters: {drop: [user], rename: {seed: s}, refuse: [stop]}, base_url: "'
    )
    text = small.replace('base_url: "', own)
    settings = read(text, {"AZURE_OPENAI_API_KEY": "k"})
    upstream = settings.upstreams["acme"]
    assert (upstream.preset, upstream.key_header, upstream.api_key) == ("azure", "api-key", "k")
    assert upstream.base_url == "https://llm.example.com/v1"
    assert settings.tiers["small"].accepts == Accepts(
        frozenset({"user"}), {"seed": "s"}, frozenset({"stop"})
    )
    mine = read(text.replace("preset: azure", "preset: azure, api_key: other"))
    assert mine.upstreams["acme"].api_key == "other"
    assert read(small).tiers["small"].accepts is EVERYTHING


def test_a_preset_s_base_url(read, small):
    settings = read(small.replace('base_url: "https://llm.example.com/v1"', "preset: ollama"))
    upstream = settings.upstreams["acme"]
    assert (upstream.base_url, upstream.api_key) == ("http://127.0.0.1:11434/v1", None)
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("bar", "place"),
    [("{checks: [shape, logprob]}", "checks"), ("{early: {logprob: 0.5}}", "early.logprob")],
)
def test_evidence_that_the_upstream_does_not_give_is_refused(problems, small, bar, place):
    text = small.replace('v1"', 'v1", parameters: {refuse: [logprobs]}')
    (told,) = problems(text.replace("model: tiny", f"model: tiny, bar: {bar}"))
    assert f"tiers.small.bar.{place}: never acts: tiny at acme gives no log-prob" in told
