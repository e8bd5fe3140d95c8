"""A route whose scorer is a shelf follows what is in force on it, without a restart."""

from __future__ import annotations

import logging

import pytest
from api.serving import house
from app.serving import listening, until
from sample_outcomes import quick_artefact

from gateway.cli import main


@pytest.fixture
def shelf(tmp_path):
    shelf = tmp_path / "shelf"
    for version in (1, 2):
        quick_artefact(shelf / f"sums@{version}", f"sums@{version}", seed=version)
    (shelf / "in-force").write_text("sums@1")
    return shelf


async def test_a_promotion_is_followed_and_a_roll_back_too(tmp_path, shelf, capsys):
    (shelf / "history.jsonl").write_text('{"in_force": "sums@1"}\n{"in_force": "sums@2"}\n')
    async with listening(tmp_path, routes__waterfall__scorer="./shelf") as served:

        def label():
            return served.gateway.switch.service.scorers["waterfall"].label

        assert label() == "sums@1"
        (shelf / "in-force").write_text("sums@2")
        await until(lambda: label() == "sums@2")
        assert main(["rollback", "--shelf", str(shelf)]) == 0
        await until(lambda: label() == "sums@1")
    assert "sums@1 is in force again" in capsys.readouterr().out


async def test_the_version_in_force_is_in_ledger_and_metrics(tmp_path, shelf):
    async with house(tmp_path, routes__waterfall__scorer="./shelf") as it:
        assert it.entry(await it.chat())["scorer"] == "sums@1"
        (shelf / "in-force").write_text("sums@2")
        assert await it.gateway.reload()
        assert it.entry(await it.chat())["scorer"] == "sums@2"
        assert 'scorer_version="sums@2"' in (await it.get("/metrics")).body.decode()


async def test_a_version_that_is_not_there_keeps_the_last_good_one(tmp_path, shelf, caplog):
    async with house(tmp_path, routes__waterfall__scorer="./shelf") as it:
        (shelf / "in-force").write_text("sums@9")
        with caplog.at_level(logging.ERROR, logger="waterfall"):
            assert not await it.gateway.reload()
        assert it.entry(await it.chat())["scorer"] == "sums@1"
    assert "sums@9" in caplog.text
