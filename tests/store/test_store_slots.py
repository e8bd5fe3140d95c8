from __future__ import annotations

import errno
import os
import struct
import zlib
from dataclasses import replace

import pytest
from sample_entries import call, open_call

from gateway.core.blank_rows import CALL
from gateway.core.money import NANO, TOKEN_CAP, Price, Usage
from gateway.core.ports import OpenCall
from gateway.core.rows import COST_COLUMNS, call_row
from gateway.store.encode import encode
from gateway.store.slots import CHUNK_SLOTS, MAX_SLOTS, SLOT, UNMARKED, Slots, read_marks


@pytest.fixture
def slots(tmp_path):
    marks = Slots(tmp_path / "a.slots")
    yield marks
    marks.close()


@pytest.mark.parametrize("lacking", [2, 3])
def test_a_mark_of_a_version_before_has_no_price_or_purpose(slots, lacking):
    before = encode([getattr(open_call(7), name) for name in OpenCall.__slots__][:-lacking])
    slots.open(open_call(7, purpose="score", price_version="mine", price_hash="ba5e"))
    data = slots.path.read_bytes()
    opening = struct.pack("<HI", len(before), zlib.crc32(before)) + before
    slots.path.write_bytes(data[:8] + opening + data[8 + len(opening) :])
    (mark,) = read_marks(slots.path).marks
    assert mark.call == open_call(7)
    assert mark.call.purpose == "serve"


def test_a_mark_says_what_the_call_is_for(slots):
    slots.open(asked := open_call(7, purpose="score"))
    (mark,) = read_marks(slots.path).marks
    assert mark.call == asked


def test_an_open_call_is_read_back_whole(slots):
    asked = open_call(7)
    slots.open(asked)
    (mark,) = read_marks(slots.path).marks
    assert (mark.call, mark.settled) == (asked, None)


def test_a_settled_call_keeps_both_halves(slots):
    asked, came = open_call(7), call(number=7, error="timeout", status="failed")
    slots.settle(slots.open(asked), came)
    (mark,) = read_marks(slots.path).marks
    assert mark.call == asked
    assert {name: value for name, value in mark.settled.items() if value not in (0, "")} == {
        "status": "failed",
        "error": "timeout",
        "prompt_tokens": 101,
        "completion_tokens": 31,
        "cached_tokens": 17,
        "rate": "standard",
        "cost": came.cost.total,
        "input_cost": came.cost.input,
        "cached_input_cost": came.cost.cached_input,
        "output_cost": came.cost.output,
        "seconds": 1.5,
        "first_token": 0.125,
    }


def test_the_largest_call_fits_its_slot(slots):
    """Every count at its cap, and prices of a hundred dollars a million."""
    usage = Usage(
        *(TOKEN_CAP, TOKEN_CAP, TOKEN_CAP // 5, TOKEN_CAP // 5, TOKEN_CAP // 4),
        cache_write_1h=TOKEN_CAP // 10,
        audio_input=TOKEN_CAP // 5,
        audio_output=TOKEN_CAP // 4,
        image_input=TOKEN_CAP // 5,
        image_output=TOKEN_CAP // 4,
        service="a service of a very long name",
    )
    price = Price(100 * NANO, 100 * NANO, request=NANO, bands=((9_000_000, Price(10**11, 10**11)),))
    largest = replace(
        call(number=7, usage=usage, status="cancelled", error="context_length" * 9, price=price),
        cost=price.cost(usage),
        seconds=86_400.123456789,
        first_token=86_400.123456789,
    )
    slots.settle(slots.open(asked := open_call(7)), largest)
    slots.open(neighbour := open_call(8))
    first, second = read_marks(slots.path).marks
    assert (first.call, second.call) == (asked, neighbour)
    row = CALL | call_row(largest, 0.0)
    kinds = {name: row[name] for name in ("cost", "audio_output_tokens", *COST_COLUMNS)}
    assert {name: first.settled[name] for name in kinds} == kinds


def test_every_value_of_a_settling_is_the_one_of_the_call_s_row(slots):
    usage = Usage(1001, 503, 107, 211, 53, True, 29, 31, 37, 41, 43, "priority")
    price = Price(1_000_003, 2_000_003, 3_000_017, 4_000_037, request=59)
    record = replace(
        call(usage=usage, status="failed"),
        cost=price.cost(usage),
        price=price,
        error="rate_limited",
        bare=True,
        first_token=0.1234567,
        seconds=0.7654321,
    )
    slots.settle(slots.open(open_call(1)), record)
    (mark,) = read_marks(slots.path).marks
    row = CALL | call_row(record, 0.0) | {"first_token": 0.123457, "seconds": 0.765432}
    assert mark.settled == {name: row[name] for name in mark.settled}
    assert len(mark.settled) == 19 + len(COST_COLUMNS)


def test_a_mark_that_the_version_before_has_settled_is_read(slots):
    slots.settle(slots.open(open_call(7)), call(number=7))
    named = encode(told := {"status": "ok", "cost": 77, "prompt_tokens": 9})
    data = slots.path.read_bytes()
    settling = struct.pack("<HI", len(named), zlib.crc32(named)) + named
    slots.path.write_bytes(data[:688] + settling + data[688 + len(settling) :])
    (mark,) = read_marks(slots.path).marks
    assert mark.settled == told


def test_a_freed_slot_is_gone_and_used_again(slots):
    slot = slots.open(open_call())
    slots.free(slot)
    slots.free(slot)
    assert read_marks(slots.path).marks == ()
    first, second = slots.open(open_call()), slots.open(open_call())
    assert first == slot != second


def test_settling_a_freed_slot_does_not_bring_it_back(slots):
    slot = slots.open(open_call())
    slots.free(slot)
    slots.settle(slot, call())
    assert read_marks(slots.path).marks == ()


def test_it_grows_when_full(slots):
    asked = [open_call() for _ in range(CHUNK_SLOTS * 2 + 3)]
    for each in asked:
        slots.open(each)
    assert {mark.call for mark in read_marks(slots.path).marks} == set(asked)


def test_a_full_disk_leaves_calls_unmarked_and_serving(slots, monkeypatch):
    for _ in range(CHUNK_SLOTS):
        slots.open(open_call())

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        slot = slots.open(open_call())
    assert (slot, slots.unmarked) == (UNMARKED, 1)
    slots.settle(slot, call())
    slots.free(slot)
    assert len(read_marks(slots.path).marks) == CHUNK_SLOTS
    assert slots.open(open_call()) >= 0


def test_a_short_write_does_not_count_as_room(slots, monkeypatch):
    for _ in range(CHUNK_SLOTS):
        slots.open(open_call())
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", lambda *_: 10)
        assert slots.open(open_call()) == UNMARKED
    assert slots.path.stat().st_size == CHUNK_SLOTS * SLOT


def test_there_is_a_bound(slots, monkeypatch):
    monkeypatch.setattr("gateway.store.slots.MAX_SLOTS", CHUNK_SLOTS)
    taken = [slots.open(open_call()) for _ in range(CHUNK_SLOTS + 1)]
    assert taken[-1] == UNMARKED
    assert MAX_SLOTS >= 10_000


@pytest.mark.parametrize("letter", ["n", "ü", "\x01", "\ud800"])
def test_long_and_odd_names_keep_their_ids_and_their_neighbours(slots, letter):
    long = dict.fromkeys(("route", "tier", "upstream", "model"), letter * 700)
    asked, neighbour = open_call(1, "e" * 36, **long), open_call(2)
    slots.open(asked)
    slots.open(neighbour)
    first, second = read_marks(slots.path).marks
    assert (first.call.call_id, first.call.entry_id) == ("call-1", "e" * 36)
    assert first.call.cost_estimate == 777_001
    assert second.call == neighbour


def test_ids_too_long_for_a_slot_spoil_no_neighbour(slots):
    slots.open(open_call(1, "\x01" * 5_000))
    slots.open(neighbour := open_call(2))
    marks = read_marks(slots.path)
    assert [mark.call for mark in marks.marks] == [neighbour]
    assert marks.torn == 1


def test_a_slot_torn_at_any_byte_is_recognised(slots):
    """A power cut may keep any part of a page: what cannot be trusted is not believed."""
    asked, came = open_call(7), call(number=7)
    slots.settle(slots.open(asked), came)
    whole = slots.path.read_bytes()[:SLOT]
    (good,) = read_marks(slots.path).marks
    for at in range(SLOT):
        slots.path.with_name("torn").write_bytes(
            whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]
        )
        marks = read_marks(slots.path.with_name("torn"))
        for mark in marks.marks:
            assert mark.call == asked
            assert mark.settled in (good.settled, None)
        assert len(marks.marks) + marks.torn <= 1


def test_the_file_is_private_and_goes_when_nothing_is_open(tmp_path):
    slots = Slots(tmp_path / "b.slots")
    assert slots.path.stat().st_mode & 0o777 == 0o600
    slot = slots.open(open_call())
    slots.free(slot)
    slots.close()
    assert not slots.path.exists()


def test_the_file_stays_while_a_call_is_open(tmp_path):
    slots = Slots(tmp_path / "b.slots")
    slots.open(open_call())
    slots.close()
    assert len(read_marks(slots.path).marks) == 1
