from __future__ import annotations

import asyncio
import json

import pytest

from gateway import cli
from gateway.cli.online import _ask
from gateway.config import UpstreamSettings
from gateway.upstreams.simulated import Behaviour, Model, serve_simulated

CONFIG = """
upstreams:
  here: {{kind: openai, base_url: "{url}/v1", api_key: {key}}}
tiers:
  small: {{upstream: here, model: s, price: {{input: 1, output: 1}}}}
  large: {{upstream: here, model: {model}, price: {{input: 2, output: 2}}}}
routes: {{waterfall: {{tiers: [small, large]}}}}
"""


def check(tmp_path, capsys, **filled):
    path = tmp_path / "waterfall.yaml"
    path.write_text(CONFIG.format(**filled))
    path.chmod(0o600)
    code = cli.main(["check", "--online", "--json", "--config", str(path)])
    return code, json.loads(capsys.readouterr().out)["online"]["here"]


@pytest.mark.parametrize(
    ("key", "model", "code", "told"),
    [
        ("right", "l", 0, "reached, and has its models"),
        ("wrong", "l", 1, "refuses our key (401)"),
        ("right", "m", 1, "does not list m"),
    ],
)
async def test_what_an_upstream_says(tmp_path, capsys, key, model, code, told):
    behaviour = Behaviour(models={"s": Model(), "l": Model()})
    async with serve_simulated(behaviour, key="right") as server:
        got = await asyncio.to_thread(check, tmp_path, capsys, url=server.url, key=key, model=model)
    assert got == (code, {"upstream": "here", "ok": code == 0, "told": told})


def test_nobody_there(tmp_path, capsys):
    code, found = check(tmp_path, capsys, url="http://127.0.0.1:9", key="k", model="l")
    assert code == 1
    assert found["told"] == "not reached: ConnectError"


@pytest.mark.parametrize("url", ["http://h\0", "http://[::1%lo]", "http://h:x"])
def test_a_name_that_no_client_would_take_is_not_reached(url):
    upstream = UpstreamSettings("here", "openai", url)
    found = _ask(upstream, ())
    assert (found.ok, found.told[:13]) == (False, "not reached: ")
