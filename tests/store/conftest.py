from __future__ import annotations

import pytest

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
