"""A start that fails half way leaves nothing open."""

from __future__ import annotations

import socket
import threading

import pytest
import yaml
from api.serving import config

from gateway import launcher
from gateway.api.doors import StartError, refuse_open_door
from gateway.app import Gateway, read_settings
from gateway.launcher import process
from gateway.upstreams.opening import UpstreamUnusable


@pytest.fixture
def bound(monkeypatch):
    """Every socket that the launcher binds."""
    sockets = []
    real = launcher.listen

    def listen(*address):
        sockets.append(real(*address))
        return sockets[-1]

    monkeypatch.setattr(process, "listen", listen)
    return sockets


def settings_of(folder, **changes):
    path = folder / "waterfall.yaml"
    path.write_text(yaml.safe_dump(config(**changes)))
    return read_settings(path, {})


async def test_the_first_socket_is_closed_when_the_second_is_taken(tmp_path, bound):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        admin = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartError, match="Cannot listen on"):
            async with launcher.running(settings_of(tmp_path, server__admin=admin)):
                pass
    assert [each.fileno() for each in bound] == [-1]


async def test_both_sockets_are_closed_when_the_gateway_cannot_be_built(tmp_path, bound):
    settings = settings_of(tmp_path, ledger__url="sqlite:///waterfall.yaml/l.db")
    with pytest.raises(StartError, match="No ledger"):
        async with launcher.running(settings):
            pass
    assert [each.fileno() for each in bound] == [-1, -1]


async def test_a_gateway_that_cannot_be_built_lets_go_of_its_ledger_and_log(tmp_path):
    (tmp_path / "key.json").write_text("[1")
    before = set(threading.enumerate())
    settings = settings_of(tmp_path, upstreams__sim={"kind": "simulated", "answers": "key.json"})
    with pytest.raises(UpstreamUnusable):
        Gateway(settings)
    assert set(threading.enumerate()) <= before
    assert list((tmp_path / "waterfall.db.spool").iterdir()) == []


def test_the_whole_loopback_is_this_machine(tmp_path):
    for host in ("127.0.0.2", "::1", "LOCALHOST"):
        refuse_open_door(settings_of(tmp_path, server__host=host))
    for host in ("0.0.0.0", "128.0.0.1", "localhost.example"):
        with pytest.raises(StartError, match="only this machine"):
            refuse_open_door(settings_of(tmp_path, server__host=host))
