from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sample_entries import LARGE, attempt, cancelled, entry, escalated, failed, fallen_through

from gateway.core.chat import Reply
from gateway.core.ledger import Origin
from gateway.core.outcome import Outcome
from gateway.sinks.log import RequestLog, human_line, json_line

MAKERS = (entry, escalated, fallen_through, cancelled, failed)


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test has closed it


def test_a_line_says_what_happened():
    line = orjson.loads(json_line(each := escalated(name="abc")))
    told = {name: line[name] for name in ("request_id", "tier", "status", "outcome", "escalated")}
    assert told == {
        "request_id": "abc",
        "tier": "large",
        "status": 200,
        "outcome": "ok",
        "escalated": True,
    }
    assert line["cost_usd"] == "0.000520678"
    assert line["entry_id"] == each.origin.entry_id
    assert [(tried["tier"], tried["result"]) for tried in line["attempts"]] == [
        ("small", "low_confidence"),
        ("large", "served"),
    ]
    assert (line["prompt_tokens"], line["seconds"], line["difficulty"]) == (202, 2.0, 0.42)
    assert line["time"].endswith("+00:00")


def test_a_person_reads_it_in_one_line():
    line = human_line(fallen_through(name="abc")).decode()
    assert "200 ok waterfall: difficulty 0.42 small (timeout) → large 2.000 s $0.0" in line
    assert line.endswith(" abc\n")
    assert (
        "499 cancelled waterfall: difficulty 0.42 small (cancelled)"
        in human_line(cancelled()).decode()
    )
    assert "no call" in human_line(entry(Outcome())).decode()


@pytest.mark.parametrize("form", [json_line, human_line])
def test_no_prompt_and_no_reply_is_in_it(form):
    served = attempt(LARGE, reply=Reply("a reply to keep"), held=())
    line = form(entry(Outcome(attempts=(served,), served=served)))
    assert b"a reply to keep" not in line


@pytest.mark.parametrize("form", [json_line, human_line])
@example(text="\ud800\x7f\x9b\u202e\n")
@given(text=st.text(st.characters(codec=None), max_size=300))
def test_nothing_in_a_line_moves_the_cursor_or_ends_it(form, text):
    origin = Origin("e", text or "r", 1e9, requested_model=text, session=text)
    line = form(entry(origin=origin, route="r"))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    shown = line.decode()[:-1]
    assert not [letter for letter in shown if ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0]
    assert not set(shown) & set("\u2028\u2029\u202e\u2066")
    if form is json_line:
        kept = orjson.loads(line)["session"]
        assert kept == "".join(
            c if ord(c) not in range(0xD800, 0xE000) else "?" for c in text[:128]
        )


def test_lines_come_out_in_order(pipe):
    reader, writer = pipe
    log = RequestLog(json_line, writer)
    entries = [MAKERS[number % 5]() for number in range(50)]
    for each in entries:
        log.write(each)
    log.close()
    os.close(writer)
    with os.fdopen(reader, "rb", closefd=False) as lines:
        ids = [orjson.loads(line)["entry_id"] for line in lines]
    assert ids == [each.origin.entry_id for each in entries]
    assert log.dropped == 0


def test_a_reader_that_stalls_costs_lines_and_never_waits(pipe):
    reader, writer = pipe
    log = RequestLog(json_line, writer, most=100)
    each = escalated()
    began = set(threading.enumerate())
    for _ in range(2_000):  # far more than a pipe and the buffer hold
        log.write(each)
    assert log.dropped > 0
    assert set(threading.enumerate()) <= began
    log.close(0.05)
    taken = bytearray()
    while taken.count(b"\n") + log.dropped < 2_000:
        taken += os.read(reader, 1 << 20)
    assert taken.endswith(b"\n")
    assert taken.count(b"\n") + log.dropped == 2_000


def test_the_lines_of_several_processes_do_not_mix(pipe):
    reader, writer = pipe
    forms = [lambda _, letter=letter: letter * 700 + b"\n" for letter in (b"a", b"b", b"c")]
    logs = [RequestLog(form, writer) for form in forms]
    for _ in range(500):  # more than the pipe holds: its writers wait for room, side by side
        for log in logs:
            log.write(entry())
    taken = bytearray()
    while taken.count(b"\n") < 1_500:
        taken += os.read(reader, 1_000)
    for log in logs:
        log.close()
    lines = set(bytes(taken).splitlines())
    assert lines == {b"a" * 700, b"b" * 700, b"c" * 700}


def test_a_reader_that_has_gone_is_counted(pipe):
    reader, writer = pipe
    os.close(reader)
    log = RequestLog(json_line, writer)
    log.write(entry())
    log.close()
    assert log.dropped == 1


def test_a_line_is_out_soon_without_a_close(pipe):
    reader, writer = pipe
    log = RequestLog(human_line, writer)
    time.sleep(0.01)
    log.write(entry())
    assert os.read(reader, 1 << 16).endswith(b"\n")
    log.close()


def test_a_record_that_cannot_be_told_costs_its_own_line_only(pipe, caplog):
    def form(each):
        if each.origin.request_id.startswith("bad"):
            raise KeyError("no such field")
        return json_line(each)

    log = RequestLog(form, pipe[1])
    for name in ("a", "bad-1", "bad-2", "b"):
        log.write(entry(name=name))
    log.close()
    os.close(pipe[1])
    lines = os.read(pipe[0], 65_536).splitlines()
    assert [orjson.loads(line)["request_id"] for line in lines] == ["a", "b"]
    assert log.dropped == 2
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info[0] is KeyError


@pytest.mark.parametrize(("most", "gives_way"), [(2_000, True), (60, False)])
def test_it_gives_way_between_slices_unless_lines_pile_up(pipe, monkeypatch, most, gives_way):
    reader, writer = pipe
    pauses, real = [], time.sleep
    monkeypatch.setattr(time, "sleep", lambda wait: pauses.append(wait) or real(wait))
    made = [entry() for _ in range(55)]
    log = RequestLog(lambda _: b"x\n", writer, most=most)
    for each in made:
        log.write(each)
    log.close()
    assert os.read(reader, 4096) == b"x\n" * 55
    assert bool(pauses) == gives_way


def test_the_thread_rests_while_there_is_nothing_and_a_line_wakes_it(pipe):
    read_end, write_end = pipe
    log = RequestLog(json_line, write_end)
    clock = time.pthread_getcpuclockid(log._thread.ident)
    for _ in range(2):
        log.write(entry())
        assert orjson.loads(os.read(read_end, 65_536))["status"] == 200
        while not log._resting:
            time.sleep(0.01)
        time.sleep(0.02)
        used = time.clock_gettime(clock)
        time.sleep(0.15)  # longer than between two looks
        assert time.clock_gettime(clock) == used
    log.close()
    assert not log._thread.is_alive()


@given(st.floats(0, 4e9))
def test_a_line_says_when_a_request_began_as_the_standard_library_does(at):
    line = json_line(replace(entry(), origin=replace(entry().origin, started_at=at)))
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    assert orjson.loads(line)["time"] == when
