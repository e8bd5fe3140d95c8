"""Questions in SQL to the days that were exported, answered by DuckDB."""

from __future__ import annotations

from pathlib import Path

import duckdb

from gateway.store.days import EXPORTED
from gateway.store.parquet import files


def open_days(folder: Path) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB in which each table is a view of its exported days, and nothing else is to be
    had. Raises FileNotFoundError where there are none."""
    connection = duckdb.connect()
    for table in EXPORTED:
        paths = [str(each.absolute()) for each in files(folder, table)]
        if not paths:
            raise FileNotFoundError(f"No day was exported to {folder}.")
        connection.from_parquet(paths, hive_partitioning=True).create_view(table)
    return connection


def ask(folder: Path, sql: str) -> str:
    """Answer a question with a table for the terminal.

    Raises ValueError for SQL that DuckDB refuses, FileNotFoundError where no day was exported.
    """
    with open_days(folder) as connection:
        try:
            return str(connection.sql(sql))
        except duckdb.Error as error:
            raise ValueError(str(error)) from error
