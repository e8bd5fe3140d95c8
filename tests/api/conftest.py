"""One gateway of the plain configuration for every test that leaves it as it was."""

from __future__ import annotations

import pytest
import pytest_asyncio
from api.serving import house


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def one_house(tmp_path_factory):
    async with house(tmp_path_factory.mktemp("house")) as it:
        yield it


@pytest.fixture
def it(one_house):
    """The shared gateway, with nothing sent and no entry so far."""
    one_house.begin()
    return one_house
