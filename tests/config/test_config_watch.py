"""A change is told once, when it has come to rest, however it was made."""

from __future__ import annotations

import asyncio
import os

import pytest

from gateway.config import Watcher


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "waterfall.yaml"
    path.write_text("one")
    return path


def write(path, text):
    """Write, and make sure that it shows: a clock of a file system may be coarse."""
    path.write_text(text)
    later = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(later, later))


def polls(watcher, count):
    return [watcher.poll() for _ in range(count)]


def test_nothing_changed(file):
    assert polls(Watcher([file], print), 3) == [False] * 3


def test_a_change_is_told_once_after_it_has_come_to_rest(file):
    watcher = Watcher([file], print)
    write(file, "two")
    assert polls(watcher, 4) == [False, True, False, False]


def test_a_file_still_being_written_is_left_alone(file):
    watcher = Watcher([file], print)
    for text in ("t", "tw", "two"):
        write(file, text)
        assert watcher.poll() is False
    assert polls(watcher, 2) == [True, False]


def test_a_change_taken_back_at_once_is_none(file):
    watcher = Watcher([file], print)
    facts = file.stat()
    write(file, "two")
    assert watcher.poll() is False
    file.write_text("one")
    os.utime(file, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
    assert polls(watcher, 3) == [False] * 3


def test_the_same_length_and_another_time(file):
    watcher = Watcher([file], print)
    write(file, "eno")
    assert polls(watcher, 2) == [False, True]


def test_another_file_put_in_its_place(file, tmp_path):
    watcher = Watcher([file], print)
    facts = file.stat()
    other = tmp_path / "new"
    other.write_text("two")
    os.utime(other, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
    other.replace(file)
    assert polls(watcher, 2) == [False, True]


def test_a_file_that_vanishes_and_comes_back(file):
    watcher = Watcher([file], print)
    file.unlink()
    assert polls(watcher, 3) == [False, True, False]
    file.write_text("again")
    assert polls(watcher, 3) == [False, True, False]


def test_a_link_turned_elsewhere_as_mounted_config_maps_do(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "waterfall.yaml").write_text(name)
    link = tmp_path / "now"
    link.symlink_to("a")
    watcher = Watcher([link / "waterfall.yaml"], print)
    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").replace(link)
    assert polls(watcher, 2) == [False, True]


def test_a_folder_s_files_are_watched(tmp_path):
    weights = tmp_path / "weights.json"
    weights.write_text("1")
    watcher = Watcher([tmp_path], print)
    write(weights, "2")
    assert polls(watcher, 2) == [False, True]
    (tmp_path / "more.json").write_text("3")
    assert polls(watcher, 2) == [False, True]


def test_following_others_starts_afresh(file, tmp_path):
    other = tmp_path / "other"
    other.write_text("one")
    watcher = Watcher([file], print)
    write(file, "two")
    watcher.follow([other])
    assert polls(watcher, 2) == [False, False]
    write(other, "two")
    assert polls(watcher, 2) == [False, True]


def test_following_the_same_file_again_loses_no_change(file, tmp_path):
    watcher = Watcher([file], print)
    write(file, "two")
    watcher.follow([file, tmp_path / "other"])
    assert polls(watcher, 3) == [False, True, False]


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_it_calls_back_until_cancelled(file, kind):
    told = asyncio.Event()

    async def later():
        await asyncio.sleep(0)
        told.set()

    watcher = Watcher([file], told.set if kind == "plain" else later, interval=0.001)
    task = asyncio.create_task(watcher.run())
    write(file, "two")
    await asyncio.wait_for(told.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_callback_that_fails_is_logged_and_the_watch_goes_on(file, caplog):
    failed, told = asyncio.Event(), asyncio.Event()

    def fail_first():
        if not failed.is_set():
            failed.set()
            raise RuntimeError("no good")
        told.set()

    watcher = Watcher([file], fail_first, interval=0.001)
    task = asyncio.create_task(watcher.run())
    write(file, "two")
    await asyncio.wait_for(failed.wait(), 30)
    write(file, "three")
    await asyncio.wait_for(told.wait(), 30)
    task.cancel()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "no good" in caplog.text


def test_a_time_that_comes_is_told_and_told_again_until_something_follows(file):
    now = [1_000.0]
    watcher = Watcher([file], print, 1_010.0, now=lambda: now[0])
    assert polls(watcher, 2) == [False, False]
    now[0] = 1_010.0
    assert polls(watcher, 2) == [True, False]
    now[0] += 59.9
    assert polls(watcher, 1) == [False]
    now[0] += 0.1
    assert polls(watcher, 2) == [True, False]
    watcher.follow([file], 1_500.0)
    now[0] = 1_499.0
    assert polls(watcher, 2) == [False, False]
    now[0] = 1_500.0
    assert polls(watcher, 1) == [True]
    watcher.follow([file])
    now[0] = 9_999.0
    assert polls(watcher, 2) == [False, False]
