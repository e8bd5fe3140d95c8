"""What waits on its way to the ledger, and what is in it: also when the ledger cannot be had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.store.columns import TABLES
from gateway.store.connection import Connection, LedgerUnusable, Place
from gateway.store.flatten import record_of
from gateway.store.ledgers import ledger_at, reading
from gateway.store.owner import KINDS, LOCK, MARKS
from gateway.store.rollups import kept_from
from gateway.store.schema import VERSION
from gateway.store.slots import read_marks
from gateway.store.spool import Segment, read_segment

_READ = 8 << 20
_LOCKS = Path("/proc/locks")
_COUNTED = (*TABLES, "label", "prompt", "tuning", "rollup_hour", "report_hour")
_PARTITIONS = """
SELECT relname AS name, pg_total_relation_size(pg_class.oid) AS bytes
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = current_schema() AND relkind = 'r' ORDER BY relname"""
_SIZE = (
    "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    "SELECT pg_database_size(current_database())",
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one process has not written to the ledger. `alive` is None where that cannot be told;
    `rows` are those after what the ledger says that it has, `oldest` is when the first of them
    began, a UNIX time; `open_calls` are under way, `settled_calls` over without their record."""

    process: str
    alive: bool | None
    rows: int
    bytes: int
    torn_bytes: int
    oldest: float | None
    open_calls: int
    settled_calls: int


@dataclass(frozen=True, slots=True)
class Held:
    """What the ledger has. `due_hours` are not rolled up yet, `kept_from` is the UNIX time before
    which requests may have been deleted (0: none were); `oldest` and `newest` requests began at
    these UNIX times."""

    layout: int
    bytes: int
    rows: Mapping[str, int]
    oldest: float | None
    newest: float | None
    due_hours: int
    kept_from: int
    partitions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status:
    """Both. `held` is None where the ledger cannot be had, with `why`; what waits is then counted
    with what is in it already, as far as that is still in the spool: `exact` is False."""

    ledger: str
    spool: str
    layout: int
    exact: bool
    waiting: tuple[Waiting, ...]
    held: Held | None
    why: str = ""


def status(place: Place, spool: Path) -> Status:
    """Look at both; nothing is changed, and nobody has to wait for it."""
    held, offsets, why = None, {}, ""
    try:
        forms = ledger_at(place).forms
        with reading(place) as connection:
            held = _held(connection, forms(_SIZE), partitioned=not isinstance(place, Path))
            offsets = {row[0]: row[1] for row in connection.execute("SELECT * FROM segment")}
    except (OSError, LedgerUnusable) as error:
        why = str(error)
    waiting = tuple(_waiting(spool, offsets)) if spool.is_dir() else ()
    return Status(str(place), str(spool), VERSION, held is not None, waiting, held, why)


def _held(connection: Connection, size: str, *, partitioned: bool) -> Held:
    def one(query: str) -> Any:
        return connection.execute(query).fetchone()

    partitions = connection.execute(_PARTITIONS).fetchall() if partitioned else []
    oldest, newest = one("SELECT min(started_at), max(started_at) FROM request")
    return Held(
        layout=int(one("SELECT value FROM meta WHERE name = 'schema'")[0]),
        bytes=one(size)[0],
        rows={name: one(f'SELECT count(*) FROM "{name}"')[0] for name in _COUNTED},  # noqa: S608
        oldest=oldest,
        newest=newest,
        due_hours=one("SELECT count(DISTINCT hour) FROM rollup_due")[0],
        kept_from=kept_from(connection),
        partitions={row["name"]: row["bytes"] for row in partitions},
    )


def _waiting(folder: Path, offsets: Mapping[str, int]) -> Iterator[Waiting]:
    paths = [each for each in sorted(folder.iterdir()) if each.suffix in KINDS]
    locked = _locked()
    for process in sorted({path.name.partition(".")[0] for path in paths}):
        own = [path for path in paths if path.name.partition(".")[0] == process]
        alive = None
        rows = size = torn = 0
        began: list[float] = []
        marks = [0, 0]
        for path in own:
            try:
                if path.suffix == LOCK:
                    alive = None if locked is None else path.stat().st_ino in locked
                elif path.suffix in MARKS:
                    found = read_marks(path).marks
                    settled = sum(each.settled is not None for each in found)
                    marks = [len(found) - settled, settled]
                else:
                    one = _segment(path, offsets.get(path.name, 0))
                    rows, size, torn = rows + one[0], size + one[1], torn + one[2]
                    began += one[3]
            except FileNotFoundError:  # it has been drained since the folder was listed
                continue
        yield Waiting(process, alive, rows, size, torn, min(began, default=None), *marks)


def _segment(path: Path, offset: int) -> tuple[int, int, int, list[float]]:
    """Count a segment's rows from an offset on: rows, bytes, torn bytes, when the first began."""
    segment = Segment(path, path.stat().st_size, finished=True)
    rows = torn = 0
    began: list[float] = []
    at = min(offset, segment.size)
    while at < segment.size:
        reading = read_segment(segment, at, _READ)
        if not began and reading.payloads:
            began = _began(reading.payloads[0][0])
        rows, torn, at = rows + len(reading.payloads), torn + reading.bad, at + reading.end
    return rows, segment.size - min(offset, segment.size), torn, began


def _began(payload: bytes) -> list[float]:
    record = record_of(payload) or {}
    own = record.get("request") or record.get("shadow")
    at = own.get("started_at") if isinstance(own, dict) else None
    return [float(at)] if isinstance(at, int | float) else []


def _locked() -> set[int] | None:
    """Read the inodes of all files that somebody holds with flock: by looking, as a try at the lock
    of a dead process would keep another from taking its files over. None where that is unknown."""
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    words = [line.split() for line in lines]
    return {int(each[5].rpartition(":")[2]) for each in words if len(each) > 5 and "FLOCK" in each}
