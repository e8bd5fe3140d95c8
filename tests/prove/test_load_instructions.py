"""What is read of callgrind's file, and what is told of it."""

from __future__ import annotations

from collections import Counter

import pytest

from loadtests.instructions import more, read_profile, told

_FILE = """\
events: Ir
ob=(1) /usr/lib/libpython.so
fn=(1) eval
10 40
+3 2
cfn=(2) dict_lookup
calls=5 20
11 70
fn=(2)
20 70
fn=(1)
* 8
totals: 120
"""


def test_a_call_s_cost_is_its_callee_s_and_names_are_found_by_number() -> None:
    assert read_profile(iter(_FILE.splitlines(keepends=True))) == {"eval": 50, "dict_lookup": 70}


def test_a_function_without_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="without a number"):
        read_profile(iter(["fn=eval\n", "1 2\n"]))


def test_a_thread_is_told_by_the_request_and_an_idle_one_is_left_out() -> None:
    found = {1: {"eval": 30_000, "free": 10_000, "rare": 1}, 2: {"timer": 900}}
    assert told(found, 10, 2) == [
        "      4,000 instructions a request, thread 1",
        "      3,000 eval",
        "      1,000 free",
    ]


def test_a_chunk_is_what_longer_streams_take_more_than_shorter_ones() -> None:
    short = {1: Counter(eval=3_000, opened=50), 2: Counter(timer=70)}
    long = {1: Counter(eval=9_000, opened=50), 3: Counter(late=10), 2: Counter(timer=60)}
    found = more(long, short)
    assert found == {1: {"eval": 6_000, "opened": 0}, 2: {"timer": -10}, 3: {"late": 10}}
    assert told(found, 4, 1, "chunk") == [
        "      1,500 instructions a chunk, thread 1",
        "      1,500 eval",
    ]
