"""What tuning's reads of the ledger take when it has a million requests, and what its upgrade did.

`python -m loadtests.archive [--rows N]`: makes a ledger of layout 1, opens it, and asks it.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from gateway.core.ids import uuid7
from gateway.core.ports import TuningRow
from gateway.store.archive import Archive
from gateway.store.labels import Label, Labels
from gateway.store.sqlite import connect

FROZEN = Path(__file__).resolve().parents[1] / "tests" / "store"
EVERY = 50
"""One request of so many is labelled, at both tiers."""


def main() -> None:
    """Make the ledger, ask it, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "waterfall.db"
        _make(path, rows)
        began = time.perf_counter()
        connect(path).close()
        print(f"{'layout 1 to 2':<28}{time.perf_counter() - began:9.3f} s")
        _score_and_label(path)
        with closing(connect(path)):  # as the drain's: the last to close would tidy up each time
            _ask(path)


def _make(path: Path, rows: int) -> None:
    record = orjson.loads((FROZEN / "record_1.json").read_bytes())
    record |= {"p_good": "[0.6, 0.9]", "escalations": "[]"}
    chance = random.Random(1)

    def values(columns: list[str]) -> Iterator[list[Any]]:
        for number in range(rows):
            known_as = uuid7(1_700_000_000_000 + number * 100, chance.getrandbits(74))
            route = "waterfall" if number % 10 else "second"
            scorer = "linear@3" if number % 1_001 else "linear@2"
            own = {"entry_id": known_as, "request_id": known_as, "route": route, "scorer": scorer}
            whole = record | own | {"started_at": 1_700_000_000 + number / 10}
            yield [whole[column] for column in columns]

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript((FROZEN / "layout_1.sql").read_text())
        columns = [row[1] for row in connection.execute("PRAGMA table_info(request)")][1:]
        names, marks = ", ".join(f'"{c}"' for c in columns), ", ".join("?" * len(columns))
        statement = f"INSERT INTO request ({names}) VALUES ({marks})"  # noqa: S608 - ours
        connection.executemany(statement, values(columns))


def _score_and_label(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE request SET score = id * 7919 % 1000003 / 1000003.0 - 0.3")
        for tier in ("small", "large"):
            connection.execute(
                "INSERT INTO label SELECT entry_id, ?, 'user', id % 2, started_at "
                "FROM request WHERE id % ? = 0",
                (tier, EVERY),
            )


def _ask(path: Path) -> None:
    archive, labels = Archive(path), Labels(path, lambda _: True)
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT entry_id FROM request ORDER BY random() LIMIT 1000"
        ids = [row[0] for row in connection.execute(query)]
    _time("recent, 1,000", lambda _: archive.recent("waterfall", "linear@3", 1_000))
    _time("recent, a rare scorer's", lambda _: archive.recent("waterfall", "linear@2", 1_000))
    _time("recent, of nobody", lambda _: archive.recent("waterfall", "nobody", 1_000))
    _time("labelled, 1,000", lambda _: archive.labelled("waterfall", "linear@3", 1_000))
    _time("labelled, of nobody", lambda _: archive.labelled("waterfall", "nobody", 1_000))
    _time("a request by its id", lambda turn: labels.find(ids[turn], None, 1.0))
    _time("a label", lambda turn: labels.put(Label(ids[turn], "small", 1.0, "user", 0.0)))
    _time("a tuning state", lambda turn: archive.put_tuning(_state(), turn))
    _time("the tunings", lambda _: archive.tunings())


def _state() -> TuningRow:
    return TuningRow(0, "waterfall", "linear@3", 0.0, "{}")


def _time(what: str, ask: Callable[[int], object], turns: int = 50) -> None:
    took = []
    for turn in range(turns):
        began = time.perf_counter()
        ask(turn)
        took.append((time.perf_counter() - began) * 1e3)
    print(f"{what:<28}p50 {statistics.median(took):8.2f} ms   max {max(took):8.2f} ms")


if __name__ == "__main__":
    main()
