"""A server that stops, crashes, locks or fills up; a gateway that is killed while it writes to it.

Whatever happens, the ledger ends with what was acknowledged: all of it, once.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from sample_entries import entry, escalated
from store.conftest import Home

from gateway.core.database_url import DatabaseUrl
from gateway.store.labels import Label
from gateway.store.ledgers import ledger_at
from gateway.store.status import status
from loadtests.postgres import binaries, server

pytestmark = pytest.mark.live

HERE = Path(__file__).parent
SUMS = "SELECT count(*), count(DISTINCT entry_id), sum(cost) FROM request"


@pytest.fixture
def own(tmp_path):
    """A server of the test's own, to be stopped, with an empty ledger in it."""
    if binaries() is None:
        pytest.skip("no PostgreSQL is installed: apt install postgresql")
    with server("fsync=off") as running:
        home = Home(DatabaseUrl(running.create("ledger")), tmp_path / "spool")
        yield running, home
        if running.process.poll() is not None:
            running.start("fsync=off")
        for store in home.stores:
            store.close()


def eventually(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def keep(store, made, count):
    for _ in range(count):
        made.append(escalated())
        store.journal.append(made[-1], ())


def complete(made):
    return [(len(made), len(made), sum(each.cost for each in made))]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_was_away_for_a_while_has_every_row_once(own, how):
    running, home = own
    store, made = home.open(), []
    writing = threading.Event()

    def write():
        while not writing.is_set():
            keep(store, made, 5)
            time.sleep(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    assert eventually(lambda: store.state().written > 100)
    for _ in range(2):
        getattr(running, how)()
        failed = store.state().write_failures
        assert eventually(lambda before=failed: store.state().write_failures > before)
        assert store.state().oldest_unflushed_seconds > 0
        written = store.state().written
        running.start("fsync=off")
        assert eventually(lambda before=written: store.state().written > before)
    writing.set()
    thread.join()
    assert store.flush(60)
    assert (store.state().dropped_disk, store.state().malformed) == (0, 0)
    assert home.ask(SUMS) == complete(made)


def test_a_server_that_is_away_at_the_start_does_not_keep_it_from_serving(own, caplog):
    running, home = own
    running.stop()
    store, made = home.open(wait=0.1), []
    keep(store, made, 20)
    assert not store.flush(0.2)
    assert "not to be had yet" in caplog.text
    assert str(home.place) in caplog.text
    with pytest.raises(OSError, match="takes no rows"):
        store.labels.find("x", None, 0.1)
    with pytest.raises(OSError, match="not to be had"):
        store.labels.put(Label("x", "small", 1.0, "user", 1.0))
    with pytest.raises(OSError, match="not to be had"):
        store.archive.tunings()
    seen = status(home.place, home.spool)
    assert (seen.exact, seen.held, seen.waiting[0].rows) == (False, None, 20)
    assert "refused" in seen.why
    running.start("fsync=off")
    assert store.flush(60)
    assert home.ask(SUMS) == complete(made)


def test_what_could_not_be_written_by_the_end_waits_for_the_next_start(own):
    running, home = own
    store, made = home.open(), []
    assert store.flush()
    running.stop()
    keep(store, made, 30)
    assert not store.close(0.5)
    assert eventually(lambda: not store._drain._thread.is_alive())
    running.start("fsync=off")
    again = home.open()
    assert again.recovered.rows == 30
    assert home.ask(SUMS) == complete(made)


def test_a_commit_of_which_nothing_was_heard_is_not_doubled(postgres_home, monkeypatch):
    """The connection is lost between the commit and its word; the batch is written again."""
    from gateway.store.postgres_writer import PostgresWriter

    real, note = PostgresWriter.transaction, PostgresWriter.write_offset
    moved, lost = [], []

    def write_offset(*known):
        moved.append(known)
        note(*known)

    class Deaf:
        def __init__(self, writer):
            self._inner = real(writer)

        def __enter__(self):
            return self._inner.__enter__()

        def __exit__(self, *fault):
            done = self._inner.__exit__(*fault)
            if moved and not lost and fault[0] is None:
                lost.append(True)
                raise psycopg.OperationalError("server closed the connection unexpectedly")
            return done

    store, made = postgres_home.open(), []
    assert store.flush()
    monkeypatch.setattr(PostgresWriter, "write_offset", write_offset)
    monkeypatch.setattr(PostgresWriter, "transaction", lambda self: Deaf(self))  # noqa: PLW0108 - bound
    keep(store, made, 50)
    assert store.flush(30)
    assert lost
    assert store.state().duplicates > 0
    assert postgres_home.ask(SUMS) == complete(made)


def test_a_locked_table_only_delays(postgres_home, monkeypatch):
    monkeypatch.setattr("gateway.store.postgres._WRITING", "-c lock_timeout=100ms")
    store, made = postgres_home.open(), []
    assert store.flush()
    with psycopg.connect(postgres_home.place.url) as other:
        other.execute("LOCK TABLE request IN ACCESS EXCLUSIVE MODE")
        keep(store, made, 20)
        assert eventually(lambda: store.state().write_failures > 0)
        other.rollback()
    assert store.flush(30)
    assert postgres_home.ask(SUMS) == complete(made)


def test_a_month_that_was_dropped_meanwhile_is_made_again(postgres_home):
    store, made = postgres_home.open(), []
    keep(store, made, 10)
    assert store.flush()
    with postgres_home.writer() as writer:
        month = writer.months()[0]
        writer.delete(month.start, lambda _: None)
    late = []
    keep(store, late, 10)
    assert store.flush(30)
    assert store.state().malformed == 0
    assert postgres_home.ask(SUMS) == complete(late)


def run_and_kill(home, name, seed, seconds):
    paths = os.pathsep.join([str(HERE.parent.parent), str(HERE.parent)])
    child = [sys.executable, HERE / "killed_child.py", home.place.url, home.spool, name, str(seed)]
    environment = os.environ | {"PYTHONPATH": paths}
    with subprocess.Popen(child, stdout=subprocess.PIPE, env=environment) as process:
        said = process.stdout.readline()
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.read()
    return [line.split() for line in said.decode().splitlines(keepends=True) if line[-1] == "\n"]


@pytest.mark.parametrize("count", [4, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_nothing_said_is_missing_after_kills(postgres_home, count):
    chance, said = random.Random(count), []
    for number in range(count):
        said += run_and_kill(postgres_home, f"life{number}", number, chance.uniform(0, 0.4))
    store = postgres_home.open(wait=60)
    assert store.flush(60)
    words = {kind: {w[1] for w in said if w[0] == kind} for kind in ("open", "settled", "kept")}
    calls = postgres_home.ask('SELECT call_id, status FROM "call"')
    assert len(calls) == len(dict(calls))
    assert words["open"] <= set(dict(calls))
    assert {dict(calls)[each] for each in words["settled"]} == {"ok"}
    requests = postgres_home.ask("SELECT entry_id, outcome FROM request")
    assert len(requests) == len(dict(requests))
    assert {each for each, outcome in requests if outcome == "ok"} >= words["kept"]
    assert len(words["kept"]) > 50
    # Of each life at most one call was marked that it had no more time to speak of.
    assert len(set(dict(calls)) - words["open"]) <= count


def test_a_full_server_only_delays(postgres_home):
    """As a full disk: the server refuses to write more than so much."""
    store, made = postgres_home.open(), []
    assert store.flush()
    role = "ALTER DATABASE {} SET default_transaction_read_only = {}"
    name = postgres_home.place.url.rpartition("/")[2]
    admin = psycopg.connect(postgres_home.place.url, autocommit=True)
    admin.execute(role.format(name, "on"))
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    keep(store, made, 20)
    assert eventually(lambda: store.state().write_failures > 0)
    assert not store.flush(0.3)
    admin.execute("SET default_transaction_read_only = off")
    admin.execute(role.format(name, "off"))
    admin.close()
    assert store.flush(30)
    assert postgres_home.ask(SUMS) == complete(made)


def test_another_s_ledger_lives_beside_ours_in_a_schema_of_its_own(postgres_home):
    with psycopg.connect(postgres_home.place.url, autocommit=True) as admin:
        admin.execute("CREATE TABLE request (theirs int)")
        admin.execute("CREATE SCHEMA own")
    from gateway.store.connection import LedgerUnusable

    with pytest.raises(LedgerUnusable, match="'request' that is no ledger's"):
        postgres_home.open()
    place = DatabaseUrl(f"{postgres_home.place.url}?options=-csearch_path%3Down")
    home = Home(place, postgres_home.spool)
    store, made = home.open(), [entry()]
    store.journal.append(made[0], ())
    assert store.flush()
    assert home.ask(SUMS) == complete(made)
    with home.writer() as writer:
        months = writer.months()
    assert len(status(place, home.spool).held.partitions) == 4 * len(months)
    store.close()
    assert ledger_at(place).url.shown == str(place)
