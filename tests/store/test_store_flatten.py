"""What a request was decided on goes from the spool into its column as the text that it is."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_entries import SMALL, entry, escalated
from sample_rows import older

from gateway.core.decided import Decided
from gateway.core.plan import Plan
from gateway.core.rows import row
from gateway.store.encode import encode
from gateway.store.flatten import record_of

TEXT = st.text(max_size=20) | st.sampled_from(
    [',"decided":{', '"decided":{', '\\",\\"decided\\":{', "decided", '}{"', "\ud800", "\0"]
)


@given(TEXT, TEXT, TEXT)
def test_whatever_a_client_has_said_the_record_comes_back(session, model, tier):
    plan = Plan((replace(SMALL, name=tier), SMALL), expected={tier: 1, "decided": 2})
    made = entry(decided=Decided(plan))
    made = replace(made, origin=replace(made.origin, session=session, requested_model=model))
    payload = encode(row(made))
    found, whole = record_of(payload), orjson.loads(payload)
    assert orjson.loads(found["request"].pop("decided")) == whole.pop("decided")
    assert orjson.loads(found["request"].pop("p_good")) == whole["request"].pop("p_good")
    assert found == whole


@pytest.mark.parametrize("decided", [None, Decided(Plan((SMALL,)))])
def test_nothing_comes_behind_it_in_a_record(decided):
    """What did would be lost, or end up in its column."""
    assert list(row(escalated(decided=decided)))[-1] == ("decided" if decided else "attempts")


@pytest.mark.parametrize("decided", [None, Decided(Plan((SMALL,)))])
def test_an_older_version_s_record_says_the_same(decided):
    made = escalated(decided=decided)
    old, new = record_of(encode(older(made))), record_of(encode(row(made)))
    own = old["request"]
    assert new["request"].items() <= own.items()
    assert own["decided"] == new["request"].get("decided")
    for before, after in zip(old["attempts"], new["attempts"], strict=True):
        assert after["attempt"].items() <= before["attempt"].items()
        for part in ("calls", "checks"):
            pairs = zip(before[part], after[part], strict=True)
            assert all(each.items() <= whole.items() for whole, each in pairs)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"7", b'{"a",decided":{}}', b"\xff"])
def test_what_is_no_record_is_none(payload):
    assert record_of(payload) is None
