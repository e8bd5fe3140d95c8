"""`waterfall doctor` finds planted faults and their cures, and none in what is well."""

from __future__ import annotations

import json
import socket
from contextlib import closing

import pytest
import yaml
from cli.standing import MODELS, standing

from gateway.cli import main


@pytest.fixture(scope="module")
def server():
    with standing() as url:
        yield url


@pytest.fixture(scope="module")
def expired():
    with standing("expired.pem") as url:
        yield url


def config(url):
    def tier(model, price):
        return {"upstream": "here", "model": model, "price": {"input": price, "output": price}}

    return {
        "server": {"port": 0, "admin": "off"},
        "upstreams": {"here": {"base_url": f"{url}/well/v1", "api_key": "right"}},
        "tiers": {"small": tier(MODELS[0], 1), "large": tier(MODELS[1], 2)},
        "routes": {"waterfall": {"tiers": ["small", "large"], "scorer": "rules"}},
        "prices": {"book": "none"},
    }


@pytest.fixture
def examine(tmp_path, capsys):
    """Run it on a document; returns the exit code and what was found that is not well."""

    def examine(document, *options):
        path = tmp_path / "waterfall.yaml"
        path.write_text(yaml.safe_dump(document))
        path.chmod(0o600)
        code = main(["doctor", "--json", "--config", str(path), *options])
        found = json.loads(capsys.readouterr().out)["findings"]
        return code, [each for each in found if each["grade"] != "ok"], found

    return examine


def test_it_finds_nothing_in_what_is_well(server, examine):
    code, wrong, found = examine(config(server))
    assert (code, [each for each in wrong if each["about"] != "open files"]) == (0, [])
    about = {each["about"] for each in found}
    assert {"config", "disk", "ledger", "scorer", "upstream here", "tier small", "tier large"} < (
        about
    )


def unknown_key(document, **_):
    document["tiers"]["small"]["modle"] = "x"


def taken_port(document, taken, **_):
    document["server"]["port"] = taken


def no_server(document, taken, **_):
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    document["upstreams"]["here"]["base_url"] = f"http://127.0.0.1:{port}/v1"


def wrong_key(document, **_):
    document["upstreams"]["here"]["api_key"] = "wrong"


def no_such_model(document, **_):
    document["tiers"]["small"]["model"] = "absent-1b"


def late_clock(document, **_):
    url = document["upstreams"]["here"]["base_url"]
    document["upstreams"]["here"]["base_url"] = url.replace("well", "late")


def expired_certificate(document, expired, **_):
    document["upstreams"]["here"]["base_url"] = f"{expired}/well/v1"


def spoiled_ledger(document, folder, **_):
    (folder / "waterfall.db").write_bytes(b"this is no database" * 100)


def broken_scorer(document, folder, **_):
    (folder / "scorer").mkdir()
    document["routes"]["waterfall"]["scorer"] = "scorer"


def wrong_order(document, **_):
    document["tiers"]["small"]["price"] = {"input": 9, "output": 9}


def no_room(document, **_):
    return ["--need-free", "900000GB"]


FAULTS = [
    (unknown_key, 2, "config", "unknown key", "mend that line"),
    (taken_port, 1, "server.port", "is taken", "another port"),
    (no_server, 1, "upstream here", "no connection", "start the server"),
    (wrong_key, 1, "tier small", "refuses", "put a valid one into upstreams.here.api_key"),
    (no_such_model, 1, "tier small", "absent-1b", "mend tiers.small.model"),
    (late_clock, 1, "upstream here, clock", "ahead of", "set this machine's clock"),
    (expired_certificate, 1, "upstream here, TLS", "not to be trusted", "SSL_CERT_FILE"),
    (spoiled_ledger, 1, "ledger", "cannot be used", "move the file away"),
    (broken_scorer, 1, "scorer", "scorer", "whole artefact's folder"),
    (wrong_order, 1, "prices of waterfall", "costs more than", "cheap to strong"),
    (no_room, 1, "disk", "only", "make room"),
]


@pytest.mark.parametrize(
    ("plant", "code", "about", "told", "cure"), FAULTS, ids=[each[0].__name__ for each in FAULTS]
)
def test_it_finds_a_planted_fault_and_names_its_cure(
    server, expired, examine, tmp_path, plant, code, about, told, cure
):
    document = config(server)
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        taken = listening.getsockname()[1]
        options = plant(document, taken=taken, folder=tmp_path, expired=expired) or []
        ended, wrong, _ = examine(document, *options)
    assert ended == code
    found = [each for each in wrong if each["about"] == about]
    assert found, wrong
    assert told in found[0]["told"]
    assert cure in found[0]["cure"]


def test_what_cannot_be_written_or_told(server, examine, tmp_path):
    document = config(server)
    document["ledger"] = {"url": "sqlite:///nowhere/waterfall.db"}
    document["upstreams"]["here"]["base_url"] = f"{server}/silent/v1"
    code, wrong, _ = examine(document)
    told = {each["about"]: each for each in wrong}
    assert (code, told["ledger"]["grade"]) == (1, "fail")
    assert "its folder is missing" in told["ledger"]["told"]
    assert told["tier small"]["grade"] == "warn"  # it answers; its cost would be estimated
    document["upstreams"]["here"]["base_url"] = f"{server}/spent/v1"
    assert "raise its quota" in {e["about"]: e for e in examine(document)[1]}["tier small"]["cure"]


def test_offline_it_asks_nobody_and_without_a_file_it_says_so(examine, tmp_path, capsys):
    document = config("http://127.0.0.1:9")
    code, _, found = examine(document, "--offline")
    assert code == 0
    assert not [each for each in found if each["about"].startswith(("upstream", "tier"))]
    assert main(["doctor", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "waterfall init" in capsys.readouterr().out
