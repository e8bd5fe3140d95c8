"""What a request was decided on goes from the spool into its column as the text that it is."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_entries import SMALL, entry, escalated

from gateway.core.decided import Decided
from gateway.core.plan import Plan
from gateway.core.rows import row
from gateway.store.encode import encode
from gateway.store.flatten import ORDER, record_of, request_values

TEXT = st.text(max_size=20) | st.sampled_from(
    [',"decided":{', '"decided":{', '\\",\\"decided\\":{', "decided", '}{"', "\ud800", "\0"]
)
AT = ORDER["request"].index("decided")


@given(TEXT, TEXT, TEXT)
def test_whatever_a_client_has_said_the_record_comes_back(session, model, tier):
    plan = Plan((replace(SMALL, name=tier), SMALL), expected={tier: 1, "decided": 2})
    made = entry(decided=Decided(plan))
    made = replace(made, origin=replace(made.origin, session=session, requested_model=model))
    payload = encode(row(made))
    found, whole = record_of(payload), orjson.loads(payload)
    assert orjson.loads(request_values(found)[AT]) == whole.pop("decided")
    del found["decided"]
    assert found == whole


@pytest.mark.parametrize("decided", [None, Decided(Plan((SMALL,)))])
def test_nothing_comes_behind_it_in_a_record(decided):
    """What did would be lost, or end up in its column."""
    assert list(row(escalated(decided=decided)))[-1] == "decided"


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"7", b'{"a",decided":{}}', b"\xff"])
def test_what_is_no_record_is_none(payload):
    assert record_of(payload) is None
