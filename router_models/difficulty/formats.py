"""Records out of files: CSV, JSON lines and Parquet, each a mapping of columns to values."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from gateway.core.database_url import DatabaseUrl

Record = Mapping[str, Any]
_LONGEST_FIELD: Final = 10_000_000
_SQLITE: Final = b"SQLite format 3\x00"


class DataError(ValueError):
    """A file that cannot be learnt from. The message names it and says what is wrong."""


def records(path: Path | DatabaseUrl) -> Iterator[Record]:
    """Read a file's records: `.csv`, `.jsonl` (either `.gz` if it likes) or `.parquet`.

    Raises DataError for a file that is not there, is of another kind or is garbled.
    """
    if not isinstance(path, Path):
        raise DataError(f"{path}: is a ledger; files are wanted here.")
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name the files in it.")
    if not path.is_file():
        is_there = "it is no regular file" if path.exists() else "there is no such file"
        raise DataError(f"{path}: {is_there}.")
    kinds = [suffix for suffix in path.suffixes if suffix in _READERS]
    if not kinds:
        raise DataError(f"{path}: give a .csv, .jsonl, .parquet or a ledger (.db) file.")
    try:
        yield from _READERS[kinds[-1]](path)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from error


def is_ledger(path: Path | DatabaseUrl) -> bool:
    """Is this a SQLite file, or a server's database?"""
    if not isinstance(path, Path):
        return True
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def _csv(path: Path) -> Iterator[Record]:
    csv.field_size_limit(_LONGEST_FIELD)
    with _opened(path, newline="") as lines:
        yield from csv.DictReader(lines)


def _jsonl(path: Path) -> Iterator[Record]:
    with _opened(path) as lines:
        yield from (_object(line, path) for line in lines if line.strip())


def _parquet(path: Path) -> Iterator[Record]:
    # Large, and few files are Parquet.
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    try:
        yield from parquet.read_table(path).to_pylist()
    except pa.ArrowException as error:
        raise DataError(f"{path}: is not Parquet ({error}).") from error


def _opened(path: Path, newline: str | None = None) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline=newline)
    return path.open("rt", encoding="utf-8-sig", newline=newline)


def _object(line: str, path: Path) -> Record:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{path}: a line is not JSON ({error}).") from error
    if not isinstance(record, dict):
        raise DataError(f"{path}: a line is not an object.")
    return record


_READERS: Final = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
