from __future__ import annotations

from contextlib import closing

import pytest

from gateway.core.database_url import DatabaseUrl
from gateway.store.ledgers import ledger_at
from gateway.store.store import open_store


@pytest.fixture
def opened(tmp_path):
    """Opens stores on one ledger; closes what the test leaves open."""
    stores = []

    def open_one(**more):
        store = open_store(tmp_path / "ledger.db", **more)
        stores.append(store)
        return store

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(opened):
    return opened()


class Home:
    """An empty ledger in either database, with a spool of its own."""

    def __init__(self, place, spool):
        self.place, self.spool = place, spool
        self.stores = []

    def open(self, **more):
        store = open_store(self.place, spool_folder=self.spool, **more)
        self.stores.append(store)
        return store

    def ask(self, sql, *values):
        """Ask in SQL that both know; rows as tuples."""
        with ledger_at(self.place).read() as connection:
            return [tuple(row) for row in connection.execute(sql, values).fetchall()]

    def tell(self, sql, *values):
        with ledger_at(self.place).add() as connection:
            connection.execute(sql, values)

    def writer(self):
        return closing(ledger_at(self.place).write())

    @property
    def is_sqlite(self):
        return not isinstance(self.place, DatabaseUrl)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.live)])
def home(request, tmp_path):
    """A ledger in each of the databases."""
    if request.param == "sqlite":
        place = tmp_path / "ledger.db"
    else:
        place = request.getfixturevalue("postgres_url")
    made = Home(place, tmp_path / "spool")
    yield made
    for store in made.stores:
        store.close()


@pytest.fixture
def postgres_home(postgres_url, tmp_path):
    """A ledger in PostgreSQL."""
    made = Home(postgres_url, tmp_path / "spool")
    yield made
    for store in made.stores:
        store.close()
