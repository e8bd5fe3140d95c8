"""A ledger as something to learn from: its own prompts, what was said of them, what they cost."""

from __future__ import annotations

from contextlib import closing

import pytest
from sample_entries import attempt, entry
from sample_outcomes import sums

from gateway.cli import main
from gateway.core.outcome import Outcome
from gateway.core.signals import Signals
from gateway.store.labels import Label
from gateway.store.store import open_store
from router_models.difficulty.data import DataError, read_files

NOW = 1_700_000_000.0


def keep(path, records, *, large=True):
    """Answer each record's prompt by the small tier, and label it at one tier or at both."""
    with closing(open_store(path, wall=lambda: NOW)) as store:
        for record in records:
            signals = Signals(text=record["prompt"], prompt_chars=len(record["prompt"]), turns=1)
            served = attempt()
            kept = entry(Outcome(attempts=(served,), served=served), prompt=signals)
            store.journal.append(kept, ())
            name = kept.origin.entry_id
            store.labels.put(Label(name, "small", record["weak_score"], "judge", NOW))
            if large:
                store.labels.put(Label(name, "large", record["strong_score"], "judge", NOW))
        assert store.flush()
    return path


def test_a_ledger_s_labels_are_outcomes(tmp_path):
    path = keep(tmp_path / "waterfall.db", sums(6))
    found = read_files([path], ["small", "large"])
    assert found.tiers == ("small", "large")
    assert [row.signals.text for row in found.rows] == [each["prompt"] for each in sums(6)]
    assert [row.scores for row in found.rows] == [
        (each["weak_score"], each["strong_score"]) for each in sums(6)
    ]
    assert found.rows[0].task == "waterfall"
    # No reply of the large tier has been paid for: unknown, not free.
    cost, unknown = found.rows[0].costs
    assert 0 < cost < 0.01
    assert unknown is None


def test_a_request_with_one_label_is_counted_and_left_out(tmp_path):
    path = keep(tmp_path / "waterfall.db", sums(5))
    keep(path, sums(3, seed=4), large=False)
    found = read_files([path], ["small", "large"])
    assert len(found.rows) == 5
    assert found.dropped == {"without a label at every tier": 3}


def test_tiers_without_an_order_are_asked_for(tmp_path):
    path = keep(tmp_path / "waterfall.db", sums(4))
    with pytest.raises(DataError, match="no reply of large has a known cost"):
        read_files([path])
    other = keep(tmp_path / "small.db", sums(4), large=False)
    with pytest.raises(DataError, match="only small has labels"):
        read_files([other])
    with pytest.raises(DataError, match="4 without a label at every tier"):
        read_files([other], ["small", "large"])


def test_a_ledger_without_prompts_says_how_to_keep_them(tmp_path):
    path = tmp_path / "waterfall.db"
    open_store(path).close()
    with pytest.raises(DataError, match="content: prompts"):
        read_files([path])


def test_it_is_trained_on_like_any_file(tmp_path, capsys):
    path = keep(tmp_path / "waterfall.db", sums(90))
    out = tmp_path / "own"
    given = ["--data", str(path), "--tiers", "small,large", "--out", str(out)]
    assert main(["train", *given]) == 0
    assert "own@1 is in" in capsys.readouterr().out
