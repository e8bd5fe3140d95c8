"""Trace context: the client's where it sends one, else the entry's own id."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.ids import uuid7
from gateway.core.ledger import Origin
from gateway.core.trace import (
    Trace,
    read_traceparent,
    sent_trace_id,
    span_id,
    trace_of,
    traceparent,
)

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ID = "01a21675-c7a1-7872-9b44-63529156b3a0"
OWN = Origin(ID, "r", 0.0)
ids = st.builds(uuid7, st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "",
        "x",
        SENT + " ",
        SENT.upper(),
        SENT + "-more",
        SENT.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        SENT[:-1],
    ],
)
def test_what_is_no_traceparent_is_not_taken(wrong):
    assert read_traceparent(wrong) == ""


def test_a_client_s_trace_goes_on_and_the_client_decides():
    assert read_traceparent(SENT) == SENT
    trace = trace_of(replace(OWN, trace=SENT), 0.0)
    assert trace == Trace(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, sampled=True)
    assert not trace_of(replace(OWN, trace=SENT[:-1] + "0"), 1.0).sampled
    assert trace_of(replace(OWN, trace=SENT[:-2] + "03"), 0.0).sampled, "other flags change nothing"


def test_without_one_the_trace_is_the_entry():
    assert f"{trace_of(OWN, 1.0).trace_id:032x}" == ID.replace("-", "")
    assert trace_of(OWN, 1.0) == Trace(int(ID.replace("-", ""), 16), 0, sampled=True)
    assert not trace_of(OWN, 0.0).sampled


def test_a_share_of_them_is_kept():
    origins = [Origin(uuid7(1, (n * 0x9E3779B97F4A7C15) % 2**74), "r", 0.0) for n in range(4_000)]
    kept = sum(trace_of(each, 0.25).sampled for each in origins)
    assert 900 < kept < 1_100


@given(ids)
def test_a_span_s_id_is_never_none_and_its_parts_differ(uuid):
    parts = {span_id(uuid, step) for step in range(200)}
    assert len(parts) == 200
    assert span_id(uuid) > 0


@given(ids)
def test_what_is_written_can_be_read(uuid):
    trace = trace_of(Origin(uuid, "r", 0.0), 1.0)
    written = traceparent(trace, span_id(uuid))
    assert read_traceparent(written) == written
    assert trace_of(replace(OWN, trace=written), 0.0).trace_id == trace.trace_id


def test_the_trace_that_a_client_named_is_known_by_its_id():
    sent = read_traceparent(SENT)
    assert int(sent_trace_id(sent), 16) == trace_of(replace(OWN, trace=sent), 1.0).trace_id
    assert sent_trace_id(read_traceparent("nonsense")) == ""
