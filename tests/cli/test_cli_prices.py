"""`waterfall prices`: what it shows, finds and takes over, and the codes that it ends with."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
import yaml
from sample_entries import LARGE, SMALL, attempt, call, entry

from gateway.cli import main
from gateway.core.chat import Reply
from gateway.core.money import Usage
from gateway.core.outcome import Outcome
from gateway.core.shadow import Shadow
from gateway.prices.book import today
from gateway.prices.imported import HEADER
from gateway.store.store import open_store

CHAT = {
    "mode": "chat",
    "source": "https://prices.example.com",
    "input_cost_per_token": 1.5e-6,
    "output_cost_per_token": 1e-5,
    "cache_read_input_token_cost": 1e-7,
}
CONFIG = {
    "upstreams": {"acme": {"base_url": "https://llm.example.com/v1"}},
    "tiers": {
        "small": {"upstream": "acme", "model": "gpt-5-mini"},
        "large": {"upstream": "acme", "model": "acme-large"},
    },
    "routes": {"waterfall": {"tiers": ["small", "large"]}},
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a configuration whose large model nobody has priced, and litellm's file."""
    monkeypatch.chdir(tmp_path)
    entries = dict.fromkeys(("acme-large", "gpt-5-mini", "other"), CHAT)
    entries["unsourced"] = {**CHAT, "source": ""}
    (tmp_path / "prices.json").write_text(json.dumps(entries))
    configure(tmp_path)
    return tmp_path


def configure(place, **sections):
    """Write the configuration, with these sections in the place of its own."""
    (place / "waterfall.yaml").write_text(yaml.safe_dump(CONFIG | sections))


def said(capsys):
    out, err = capsys.readouterr()
    return out + err


IMPORT = ("prices", "import", "--from-litellm", "prices.json")


def test_nothing_is_written_without_approval(place, capsys, monkeypatch):
    assert main(IMPORT) == 1
    told = said(capsys)
    assert "new  acme-large" in told
    assert "0.25 / 2.0 (builtin 2026-11-22)" in told
    assert "--yes writes without asking" in told
    assert not (place / "litellm-prices.yaml").exists()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(IMPORT) == 1
    monkeypatch.setattr("builtins.input", lambda _: "Yes ")
    assert main(IMPORT) == 0
    assert (place / "litellm-prices.yaml").read_text().startswith(HEADER)


def test_the_tiers_models_are_meant_unless_others_are_named(place, capsys):
    assert main((*IMPORT, "--yes")) == 0
    assert "other" not in (place / "litellm-prices.yaml").read_text()
    assert main((*IMPORT, "--yes", "--model", "o*", "--model", "uns*", "--to", "more.yaml")) == 0
    assert "left out, no source: unsourced" in said(capsys)
    assert set(yaml.safe_load((place / "more.yaml").read_text())["models"]) == {"other"}
    (place / "waterfall.yaml").unlink()
    assert main((*IMPORT, "--yes")) == 2
    assert "say which --model" in said(capsys)


def test_a_changed_price_is_told_in_percent_and_holds_from_its_day(place, capsys):
    assert main((*IMPORT, "--yes")) == 0
    assert main((*IMPORT, "--yes")) == 0
    assert "0 differ from litellm-prices.yaml, 2 are the same" in said(capsys)
    entries = json.loads((place / "prices.json").read_text())
    entries["acme-large"] |= {"input_cost_per_token": 3e-6, "cache_read_input_token_cost": 2e-7}
    del entries["gpt-5-mini"]
    (place / "prices.json").write_text(json.dumps(entries))
    assert main((*IMPORT, "--yes", "--since", "2999-01-01")) == 0
    told = said(capsys)
    assert "1.5 -> 3.0 (+100%)  10.0  cached_input" in told
    assert "gone, kept  gpt-5-mini" in told
    configure(place, prices={"file": "litellm-prices.yaml"})
    assert main(("prices", "show", "acme-large")) == 0
    lines = said(capsys).splitlines()
    assert lines[1].split()[:6] == ["acme-large", "*", "1.5", "0.1", "10.0", "always"]
    assert lines[2].split()[:5] == ["acme-large", "3.0", "0.2", "10.0", "2999-01-01"]
    entries["acme-large"] |= {"input_cost_per_token": 2e-6}
    (place / "prices.json").write_text(json.dumps(entries))
    assert main((*IMPORT, "--yes")) == 0
    told = said(capsys)
    assert "1.5 -> 2.0 (+33%)" in told
    assert "stays, from 2999-01-01" in told
    assert "1 prices that are to hold from a later day on stay in it" in told
    assert "2999-01-01" in (place / "litellm-prices.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--from-litellm", "nowhere.json"), "nowhere.json: No such file"),
        (("--from-litellm", "waterfall.yaml"), "is no price file of litellm's"),
        (
            ("--from-litellm", "prices.json", "--to", "waterfall.yaml"),
            "was not written by an import",
        ),
    ],
)
def test_an_import_that_cannot_be(place, capsys, arguments, told):
    assert main(("prices", "import", *arguments, "--yes")) == 2
    assert told in said(capsys)


def test_without_litellm_its_file_must_be_named(place, capsys, monkeypatch):
    monkeypatch.setattr("gateway.prices.from_litellm.find_spec", lambda _: None)
    assert main(("prices", "import", "--from-litellm")) == 2
    assert "litellm is not installed here" in said(capsys)


def test_show_by_name_by_hash_and_as_json(place, capsys):
    assert main(("prices", "show")) == 0
    assert len(said(capsys).splitlines()) == 19
    assert main(("prices", "show", "gpt-5-m*", "--json")) == 0
    (found,) = json.loads(said(capsys))
    assert (found["model"], found["in_force"], found["since"]) == ("gpt-5-mini", True, None)
    assert found["nano_usd_per_million"]["cached_input"] == 25_000_000
    assert main(("prices", "show", found["hash"])) == 0
    assert "gpt-5-mini" in said(capsys)
    assert main(("prices", "show", "unheard-of")) == 1
    configure(place, prices={"file": "prices.json"})
    assert main(("prices", "show")) == 2
    assert "prices.json" in said(capsys)


def test_check_finds_nothing_in_the_built_in_book(place, capsys):
    (place / "waterfall.yaml").unlink()
    assert main(("prices", "check")) == 0
    assert "Nothing is wrong" in said(capsys)


def test_check_finds_what_is_missing_stale_or_odd(place, capsys):
    assert main(("prices", "check")) == 1
    assert "tier large: no price is known for acme-large" in said(capsys)
    (place / "mine.yaml").write_text("""
effective: 2020-01-01
models:
  acme-large: {input: 1, output: 2, cached_input: 3, above: {200k: {input: 0.5}}}
  gift: free
""")
    configure(place, prices={"file": "mine.yaml"})
    assert main(("prices", "check")) == 1
    told = said(capsys)
    assert "mine.yaml: mine.yaml 2020-01-01, 2 models" in told
    for finding in (
        "mine.yaml: looked up on 2020-01-01, over 90 days ago",
        "acme-large: reading from the cache is dearer than reading",
        "acme-large: prompts over 200000 tokens are cheaper than shorter ones",
        "gift: costs nothing",
    ):
        assert f"- {finding}" in told
    (place / "mine.yaml").write_text(
        f"effective: {today()}\nmodels: {{acme-large: {{input: 1, output: 2}}}}\n"
    )
    configure(
        place,
        prices={"file": "mine.yaml", "book": "none"},
        tiers={"large": {"upstream": "acme", "model": "acme-large"}},
    )
    assert main(("prices", "check")) == 0
    configure(place, prices={"file": "nowhere.yaml"})
    assert main(("prices", "check")) == 2
    assert "nowhere.yaml: cannot be read" in said(capsys)


# ------------------------------------------------------------------ lengths


def observed(store, small, large):
    """The large tier served, and the small one was asked in the shadow."""
    served = attempt(LARGE, calls=(call(LARGE, usage=Usage(100, large)),), reply=Reply(()))
    kept = entry(Outcome((served,), served))
    tried = attempt(SMALL, calls=(call(SMALL, usage=small),))
    store.journal.append(kept, ())
    store.journal.append_shadow(Shadow(kept.origin.entry_id, "waterfall", 1e10, tried), ())


def test_lengths_are_measured_by_pairs_of_the_ledger(place, capsys):
    configure(
        place,
        tiers={
            name: {**tier, "price": {"input": 1, "output": 1}}
            for name, tier in CONFIG["tiers"].items()
        },
    )
    ledger = place / "waterfall.db"
    assert main(("prices", "lengths")) == 1
    assert "cannot be read" in said(capsys)
    with closing(open_store(ledger)) as store:
        for number in range(40):
            observed(store, Usage(100, 100 + number), 150 + number)
        observed(store, Usage(100, 9_000, estimated=True), 1)
        store.journal.append(entry(), ())
        assert store.flush()
    assert main(("prices", "lengths", "--days", "100000")) == 0
    told = said(capsys)
    ratio = sum(range(150, 190)) / sum(range(100, 140))
    assert "route waterfall, small: 40 replies that large has given too" in told
    assert f"its are {ratio:.3f} times as long" in told
    assert f"estimated with 1, as configured: {1 / ratio - 1:+.1%} in sum" in told
    assert f"baseline: {{reply: {{small: {ratio:.3f}}}}}" in told
    configure(
        place,
        tiers={n: {**t, "price": "free"} for n, t in CONFIG["tiers"].items()},
        routes={"waterfall": {"tiers": ["small", "large"], "baseline": {"reply": {"small": 2}}}},
    )
    assert main(("prices", "lengths", "--days", "100000")) == 0
    assert f"estimated with 2, as configured: {2 / ratio - 1:+.1%} in sum" in said(capsys)
    assert main(("prices", "lengths", "--days", "1")) == 1
    assert "set shadow" in said(capsys)
