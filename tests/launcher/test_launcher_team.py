"""One value for all workers: changes reach each of them, or it is said which they did not reach."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import orjson
import pytest
import yaml
from api.serving import LIMIT, config
from app.serving import until

from gateway.app import read_settings
from gateway.core.errors import BadRequest, GatewayError, NotReady
from gateway.launcher import crew, supervisor, team, worker
from gateway.launcher.channel import LineLost
from gateway.launcher.team import Team
from gateway.sinks.metrics import Metrics

CLEAR = 1.0  # seconds that a limit is shortened to


class Told:
    """A worker that notes what it is asked, and answers as it is told to."""

    def __init__(self, number, answer="done", *, serves=True):
        self.number, self.answer, self.serves = number, answer, serves
        self.asked, self.figures, self.version, self.succeeded = [], [], 0, False
        self.line, self.gone = None, asyncio.Event()

    async def ask(self, name, given, limit):
        self.asked.append((name, given))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def read(self):
        return True

    def welcome(self):
        self.serves = True


class NoDoor:
    """Nobody comes in."""

    def add(self, line):
        pass

    def remove(self, line):
        pass


def of(*workers):
    made = Team({"path": "w.yaml"}, lambda _: None, Metrics((), {}), NoDoor())
    made.workers = {each.number: each for each in workers}
    return made


async def test_without_a_worker_a_change_is_to_be_sent_again():
    ended = Told(1, serves=False)
    with pytest.raises(NotReady, match="Send it again"):
        await of(ended).reload()
    assert ended.asked == []


async def test_what_all_refuse_is_refused_in_their_words():
    refusal = BadRequest("No route 'x'.", param="route")
    with pytest.raises(BadRequest) as caught:
        await of(Told(1, refusal), Told(2, refusal)).set_thresholds("x", (0.5,))
    assert caught.value is refusal


@pytest.mark.parametrize(
    "error", [LineLost("did not answer within 60 s."), BadRequest("The file was refused.")]
)
async def test_what_only_some_have_taken_is_said(error):
    both = of(Told(1), Told(2, error))
    with pytest.raises(GatewayError, match="Only 1 of 2 workers took it; worker 2: ") as caught:
        await both.set_thresholds("waterfall", (0.5,))
    assert str(error) in str(caught.value)
    assert not isinstance(caught.value, BadRequest)


async def test_a_worker_that_starts_is_told_what_was_set():
    here, new = Told(1), Told(2, serves=False)
    both = of(here, new)
    await both.set_thresholds("waterfall", (0.5,))
    assert (await both._give_orders(new, None))["thresholds"] == {"waterfall": (0.5,)}
    await both._welcome(new, None)
    assert (new.serves, new.asked) == (True, [])
    await both.reload()
    assert (await both._give_orders(new, None))["thresholds"] == {}, "a reload undoes what was set"


async def test_a_worker_that_starts_while_something_changes_catches_up_before_it_serves():
    here, new = Told(1), Told(2, serves=False)
    both = of(here, new)
    await both._give_orders(new, None)
    await both.set_thresholds("waterfall", (0.5,))
    assert new.asked == []
    await both._welcome(new, None)
    assert new.asked == [("reload", None), ("threshold", ["waterfall", (0.5,)])]
    assert new.serves


async def test_one_that_cannot_catch_up_serves_and_is_told_of(caplog):
    new = Told(2, LineLost("failed"), serves=False)
    both = of(Told(1), new)
    await both._give_orders(new, None)
    await both.reload()
    await both._welcome(new, None)
    assert new.serves
    assert "worker 2 may differ from the others" in caplog.text


async def test_a_worker_that_is_stuck_holds_up_nothing_and_is_replaced(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(crew, "FIGURES_LIMIT", 0.2)
    monkeypatch.setattr(team, "CHANGE_LIMIT", CLEAR)
    monkeypatch.setattr(supervisor, "MOST_MISSED", 1_000_000)
    monkeypatch.setattr(supervisor, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(supervisor, "PATIENCE", CLEAR)
    async with asyncio.timeout(2 * LIMIT), supervised(tmp_path, server__drain="0s") as it:
        stuck = it.team.workers[1]
        await until(lambda: stuck.figures)
        os.kill(pid_of(stuck), signal.SIGSTOP)
        assert b"waterfall_workers 2.0" in await it.team.metrics(), "its last figures are shown"
        with pytest.raises(GatewayError, match="Only 1 of 2 workers took it; worker 1: did not"):
            await it.team.set_thresholds("waterfall", (0.4,))
        monkeypatch.setattr(supervisor, "MOST_MISSED", 3)
        await until(lambda: it.team.workers[1] is not stuck and it.team.workers[1].serves)
        assert "worker 1 is stuck" in caplog.text
        os.kill(pid_of(it.team.workers[2]), signal.SIGSTOP)
    assert "did not end in time, and were killed" in caplog.text
    assert not [each for each in it.team.workers.values() if not each.gone.is_set()]


async def test_a_place_stays_empty_while_the_file_is_broken_and_the_others_go_on(tmp_path, caplog):
    async with asyncio.timeout(2 * LIMIT), supervised(tmp_path) as it:
        sound = (tmp_path / "waterfall.yaml").read_text()
        (tmp_path / "waterfall.yaml").write_text("routes: {}\n")
        it.team.workers[1].kill()
        await until(lambda: caplog.text.count("another takes its place") == 3)
        pauses = [each.args[1] for each in caplog.records if "takes its place" in each.message]
        assert pauses == [0.1, 0.2, 0.4]
        assert "cannot start: waterfall.yaml" in it.team.workers[1].why, (
            "the log says what is wrong"
        )
        assert it.team.workers[2].serves
        (tmp_path / "waterfall.yaml").write_text(sound)
        await until(lambda: it.team.workers[1].serves)


async def test_a_worker_s_server_and_ledger_are_those_of_the_start(tmp_path):
    path = tmp_path / "waterfall.yaml"
    kept = {"server__drain": "7s", "server__admin_key": "k", "server__workers": 2}
    path.write_text(yaml.safe_dump(config(**kept, ledger={"content": "prompts"})))
    settings = read_settings(path, {})
    it = supervisor.Supervisor(settings, path, settings.server, 1)
    it.close()
    orders = orjson.loads(orjson.dumps(await it.team._give_orders(Told(1), None)))
    path.write_text(yaml.safe_dump(config(ledger={"url": "sqlite:///other.db"})))
    server, read = worker._settings(orders)
    assert (server, read.ledger) == (settings.server, settings.ledger)


@contextlib.asynccontextmanager
async def supervised(folder, **changes):
    """Two workers of a supervisor that is this process."""
    path = folder / "waterfall.yaml"
    path.write_text(yaml.safe_dump(config(server__workers=2, **changes)))
    settings = read_settings(path, {})
    with (folder / "requests.log").open("ab") as log:
        log_to = log.fileno()
        async with supervisor.supervising(settings, path, settings.server, log_to) as it:
            yield it


def pid_of(one):
    return one._process.pid


async def test_the_time_from_which_other_prices_hold_is_watched_for_with_the_files():
    heard = []
    made = Team({"path": "w.yaml"}, lambda *told: heard.append(told), Metrics((), {}), NoDoor())
    await made._hear_of_files([["a.yaml", "b.yaml"], 1_796_083_200.0])
    await made._hear_of_files([["a.yaml"], None])
    a, b = Path("a.yaml"), Path("b.yaml")
    assert heard == [([a, b], 1_796_083_200.0), ([a], None)]

    class Line:
        def tell(self, *told):
            heard.append(told)

    worker._tell_files(Line(), (a, b), 3.5)
    assert heard[-1] == ("files", [["a.yaml", "b.yaml"], 3.5])
