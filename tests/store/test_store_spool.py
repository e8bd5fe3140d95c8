from __future__ import annotations

import errno
import os
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.owner import claim
from gateway.store.spool import Segment, Spool, frame, read_segment, unframe

ROWS = [b'{"row":1}', b"", b'{"row":"\xc3\xbc"}', b"x" * 300]


@pytest.fixture
def owner(tmp_path):
    return claim(tmp_path / "spool")


def rows_in(spool):
    found = []
    for segment in spool.segments():
        offset = 0
        while offset < segment.size:
            reading = read_segment(segment, offset, 100)
            found += [payload for payload, _ in reading.payloads]
            offset += reading.end
    return found


def payloads(reading):
    return [payload for payload, _ in reading.payloads]


def test_what_is_appended_is_read_back(owner):
    spool = Spool(owner)
    assert all(spool.append(row) for row in ROWS)
    assert rows_in(spool) == ROWS
    assert spool.on_disk == spool.position == sum(len(frame(row)) for row in ROWS)
    assert [path.stat().st_mode & 0o777 for path in owner.segments()] == [0o600]


def test_segments_are_rotated_by_size_and_forgotten(owner):
    spool = Spool(owner, segment_bytes=200)
    rows = [b"%04d" % number * 20 for number in range(20)]
    for row in rows:
        spool.append(row)
    segments = spool.segments()
    assert rows_in(spool) == rows
    assert len(segments) > 3
    assert [segment.finished for segment in segments] == [True] * (len(segments) - 1) + [False]
    before = spool.on_disk
    spool.forget(segments[0])
    assert before - spool.on_disk == segments[0].size
    assert not segments[0].path.exists()


def test_a_tail_torn_at_any_byte_costs_one_record_and_is_reported(tmp_path):
    data = b"".join(frame(row) for row in ROWS)
    last = len(data) - len(frame(ROWS[-1]))
    for cut in range(last, len(data)):
        path = tmp_path / "torn"
        path.write_bytes(data[:cut])
        reading = read_segment(Segment(path, cut, finished=True), 0, 1 << 20)
        assert payloads(reading) == ROWS[:-1]
        assert (reading.end, reading.bad) == (cut, cut - last)


def test_damage_in_the_middle_costs_what_it_touches(tmp_path):
    data = b"".join(frame(row) for row in ROWS)
    ends = [end for _, end in unframe(data, final=True).payloads]
    for at in range(len(data)):
        spoilt = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        touched = next(number for number, end in enumerate(ends) if at < end)
        left = payloads(unframe(spoilt, final=True))
        assert left == ROWS[:touched] + ROWS[touched + 1 :]


def test_an_unfinished_tail_waits_for_more():
    data = frame(b"one") + frame(b"two")
    reading = unframe(data[:-1], final=False)
    assert payloads(reading) == [b"one"]
    assert (reading.end, reading.bad) == (len(frame(b"one")), 0)


@given(st.binary(max_size=400), st.booleans())
def test_rubbish_never_raises_and_never_stalls(data, final):
    reading = unframe(data, final=final)
    assert reading.end <= len(data)
    assert not final or reading.end == len(data)


@given(st.lists(st.binary(max_size=60), max_size=8), st.integers(0, 700))
def test_any_split_reads_the_same(rows, cut):
    data = b"".join(map(frame, rows))
    first = unframe(data[:cut], final=False)
    rest = unframe(data[first.end :], final=True)
    assert payloads(first) + payloads(rest) == rows
    assert first.bad + rest.bad == 0


def test_a_record_larger_than_a_read_is_read(owner):
    spool = Spool(owner)
    spool.append(b"y" * 5_000)
    spool.append(b"z")
    assert rows_in(spool) == [b"y" * 5_000, b"z"]


def test_over_its_cap_it_drops_counts_and_alarms_once(owner, caplog):
    spool = Spool(owner, cap_bytes=1_000)
    kept = [spool.append(b"r" * 90) for _ in range(50)]
    assert kept == [True] * 10 + [False] * 40
    assert spool.dropped_cap == 40
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    spool.forget(spool.segments()[0])
    assert spool.append(b"again")
    assert caplog.records[-1].levelname == "WARNING"


def test_a_full_disk_drops_counts_alarms_once_and_recovers(owner, monkeypatch, caplog):
    spool = Spool(owner)
    spool.append(b"before")
    write = os.write

    def full(fd, data):
        write(fd, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        assert [spool.append(b"lost") for _ in range(3)] == [False] * 3
    assert (spool.dropped_disk, len(caplog.records)) == (3, 1)
    assert spool.append(b"after")
    assert rows_in(spool) == [b"before", b"after"]
    assert owner.segments()[0].read_bytes() == frame(b"before") + frame(b"after")


def test_a_short_write_is_taken_back(owner, monkeypatch):
    spool = Spool(owner)
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
        assert not spool.append(b"half")
    spool.append(b"whole")
    assert rows_in(spool) == [b"whole"]


def test_what_cannot_be_taken_back_ends_its_segment(owner, monkeypatch):
    spool = Spool(owner)
    spool.append(b"before")
    write = os.write

    def refuse(*_):
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
        patched.setattr(os, "ftruncate", refuse)
        assert not spool.append(b"half")
    spool.append(b"after")
    assert rows_in(spool) == [b"before", b"after"]
    assert len(owner.segments()) == 2


def test_a_folder_that_is_gone_never_raises(owner):
    spool = Spool(owner)
    for path in owner.folder.iterdir():
        path.unlink()
    owner.folder.rmdir()
    assert not spool.append(b"lost")
    assert spool.dropped_disk == 1


def test_a_segment_s_end_is_told_together_with_its_size(owner):
    """Another thread deletes finished segments: one called so too early would take rows with it."""
    spool = Spool(owner, segment_bytes=60)
    told, done = set(), threading.Event()

    def watch():
        while not done.is_set():
            told.update(segment for segment in spool.segments() if segment.finished)

    watcher = threading.Thread(target=watch)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        watcher.start()
        for _ in range(600):
            spool.append(b"r" * 30)
    finally:
        done.set()
        watcher.join()
        sys.setswitchinterval(interval)
    spool.close()
    assert told <= set(spool.segments())
    assert told
