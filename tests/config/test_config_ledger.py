"""Where the record goes, and for how long."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.config import LedgerSettings


def test_the_ledger(read, small, tmp_path):
    assert read(f"{small}ledger: {{url: 'sqlite:///a/b.db'}}\n").ledger.path == tmp_path / "a/b.db"
    assert read(f"{small}ledger: {{url: 'sqlite:////a/b.db'}}\n").ledger.path == Path("/a/b.db")


def test_the_ledger_on_a_server(read, small, tmp_path):
    url = "postgresql://me:s3cret@db/ledger"
    kept = read(f"{small}ledger: {{url: '{url}', retention: 400d}}\n").ledger
    assert (str(kept.place), kept.retention) == ("postgresql://me@db/ledger", 400 * 86_400)
    assert (kept.database.url, kept.spool) == (url, tmp_path / "waterfall.spool")
    assert LedgerSettings.ordered(json.loads(json.dumps(kept.orders()))) == kept
    assert "s3cret" not in repr(kept)


def test_the_ledger_s_spool_and_retention(read, small, tmp_path):
    plain = read(f"{small}ledger: {{retention: off}}\n").ledger
    assert (plain.retention, plain.spool, plain.place) == (None, None, plain.path)
    assert read(f"{small}ledger: {{spool: a/b}}\n").ledger.spool == tmp_path / "a/b"
    assert LedgerSettings.ordered(json.loads(json.dumps(plain.orders()))) == plain


def test_what_the_ledger_keeps_of_prompts(read, small):
    assert (read(small).ledger.content, read(small).ledger.prompt_retention) == ("off", 30 * 86_400)
    kept = read(f"{small}ledger: {{content: prompts, prompt_retention: 12h}}\n").ledger
    assert (kept.content, kept.prompt_retention) == ("prompts", 43_200)
    longest = read(f"{small}ledger: {{prompt_retention: 3650d}}\n").ledger
    assert longest.prompt_retention == 3650 * 86_400


def test_the_key_to_prompts_is_a_secret(read, small):
    assert read(small).ledger.prompt_key is None
    one, other = (
        read(f"{small}ledger: {{prompt_key: {key}}}\n") for key in ("k3y-of-prompts", "an0ther")
    )
    assert one.ledger.prompt_key == "k3y-of-prompts"
    assert "k3y-of-prompts" not in repr(one)
    assert one.digest == other.digest
    assert LedgerSettings.ordered(json.loads(json.dumps(one.ledger.orders()))) == one.ledger
