"""Closed days as Parquet files, each with a manifest of what the ledger said that they hold.

`<folder>/<table>/day=<day>/<name>.parquet`, and `<folder>/manifest/<day>.json`, which is written
last: a file that no manifest names does not count, so an export that is cut short is none.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gateway.store.connection import Connection, Place
from gateway.store.days import EXPORTED, days_before, rows, start_of, summed, totals
from gateway.store.ledgers import reading
from gateway.store.rollups import kept_from
from gateway.store.schema import VERSION

MANIFESTS: Final = "manifest"
ROW_GROUP: Final = 50_000
_KINDS = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float64()}

Totals = dict[str, dict[str, int]]
"""By table: `rows`, and the sum of each column of money or tokens."""


class ExportError(Exception):
    """The files do not hold what the ledger does; the message says where."""


def export(
    place: Place, folder: Path, before: date, told: Callable[[date, str], None] = lambda *_: None
) -> list[date]:
    """Write every day before `before` that the folder lacks or has otherwise; return those that
    were written.

    A day that is there with the same sums is left as it is; one with late rows is written anew, but
    one of which requests may have been deleted is left alone: its late rows stay in the ledger.
    `told` hears of each day, and what became of it. Raises OSError, and ExportError when what was
    written does not read back as what the ledger holds.
    """
    written = []
    with reading(place) as connection:
        days = list(days_before(connection, before))
        start = kept_from(connection)
    for day in days:
        if start_of(day) < start:
            told(day, "left alone: some of it has been deleted from the ledger")
            continue
        with reading(place) as connection:
            now = _totals(connection, day)
            if read_manifest(folder, day).get("totals") == now:
                told(day, "there already")
                continue
            _write_day(connection, folder, day, now)
        written.append(day)
        told(day, "written")
    return written


def verify(folder: Path, day: date, expected: Totals) -> None:
    """See that a day's files hold what they should. Raises ExportError."""
    manifest = read_manifest(folder, day)
    if not manifest:
        raise ExportError(f"{folder} has no {day}.")
    if manifest["totals"] != expected:
        raise ExportError(f"{day} has other rows in the ledger than in {folder}: export it again.")
    for table, name in manifest["files"].items():
        found = _read_totals(folder / name, table)
        if found != expected[table]:
            raise ExportError(f"{folder / name} holds {found}, and not {expected[table]}.")


def day_totals(connection: Connection, day: date) -> Totals:
    """Add a day up as the ledger has it."""
    return _totals(connection, day)


def read_manifest(folder: Path, day: date) -> dict[str, Any]:
    """Read a day's manifest; empty where the day was not exported."""
    path = _manifest(folder, day)
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return found


def files(folder: Path, table: str) -> list[Path]:
    """List a table's files of every exported day, oldest first."""
    manifests = sorted((folder / MANIFESTS).glob("*.json"))
    return [folder / json.loads(each.read_bytes())["files"][table] for each in manifests]


def _totals(connection: Connection, day: date) -> Totals:
    return {table: totals(connection, table, day) for table in EXPORTED}


def _write_day(connection: Connection, folder: Path, day: date, expected: Totals) -> None:
    names = {table: _name(table, day) for table in EXPORTED}
    for table, name in names.items():
        _write(folder / name, table, rows(connection, table, day))
        found = _read_totals(folder / name, table)
        if found != expected[table]:
            raise ExportError(f"{folder / name} holds {found}, and not {expected[table]}.")
    manifest = {"day": f"{day}", "layout": VERSION, "files": names, "totals": expected}
    _put(_manifest(folder, day), json.dumps(manifest, indent=1).encode())
    for table, name in names.items():
        for old in (folder / table / f"day={day}").iterdir():
            if old != folder / name:
                old.unlink()


def _name(table: str, day: date) -> str:
    return f"{table}/day={day}/{uuid.uuid4().hex}.parquet"


def _manifest(folder: Path, day: date) -> Path:
    return folder / MANIFESTS / f"{day}.json"


def _write(path: Path, table: str, values: Iterator[tuple[Any, ...]]) -> None:
    schema = pa.schema([(name, _KINDS[kind.split()[0]]) for name, kind in EXPORTED[table].items()])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(values, ROW_GROUP)):
            columns = zip(*group, strict=True)
            arrays = [pa.array(c, kind) for c, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    _settle(temporary, path)


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_bytes(content)
    _settle(temporary, path)


def _settle(temporary: Path, path: Path) -> None:
    """Give a file its name once it is on the disk: a loss of power leaves the old one, or it."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def _read_totals(path: Path, table: str) -> dict[str, int]:
    found = pq.read_table(path, columns=summed(table) or ["entry_id"])
    sums = {name: pc.sum(found[name]).as_py() or 0 for name in summed(table)}
    return {"rows": found.num_rows, **sums}
