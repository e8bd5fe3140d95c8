"""Keys of the store, from the command that makes one to the request that it is refused."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import pytest
import yaml
from api.serving import ask_for, config, house

from gateway.cli import main
from gateway.store import keyring, keys
from gateway.store.keys import KeyTable, StoredKey

WITH = {"key_store": {"enabled": True}}


def command(served, *words):
    where, *rest = words
    return main(["keys", where, "--config", str(served.path), *rest])


def create(served, capsys, *words):
    assert command(served, "create", *words) == 0
    said = capsys.readouterr()
    text = said.out.strip()
    assert text.startswith("wf-")
    assert len(text) > 40
    assert text not in said.err
    return text


async def known(served):
    """A worker looks once a second; there is no need to wait for it here."""
    await asyncio.to_thread(served.gateway._spending._ring.look)


async def chat(served, key, **fields):
    return await served.post(ask_for(**fields), authorization=f"Bearer {key}")


TAKEN = [{"name": "taken", "hash": "sha256:" + "0" * 64}]


async def test_a_key_whose_name_the_configuration_has_taken_is_good_no_more(tmp_path, capsys):
    """Two of one name would have one budget, and hear each other's replies."""
    async with house(tmp_path, config(**WITH)) as served:
        key = create(served, capsys, "taken")
        await known(served)
        assert (await chat(served, key)).status == 200
        (tmp_path / "waterfall.yaml").write_text(yaml.safe_dump(config(**WITH, keys=TAKEN)))
        assert await served.gateway.reload()
        refused = await chat(served, key)
        assert (refused.status, refused.error["code"]) == (401, "key_name_taken")


async def test_a_key_s_life(tmp_path, capsys):
    async with house(tmp_path, config(**WITH)) as served:
        assert (await served.chat()).status == 401
        key = create(served, capsys, "app", "--expires", "30d")
        await known(served)
        assert (await chat(served, key)).status == 200
        assert served.entries()[0]["key"] == "app"
        assert (await chat(served, key[:-1])).status == 401
        assert command(served, "create", "app") == 1
        assert "There is a key 'app' already" in capsys.readouterr().err

        assert command(served, "rotate", "app", "--grace", "1h") == 0
        other = capsys.readouterr().out.strip()
        await known(served)
        assert [(await chat(served, each)).status for each in (key, other)] == [200, 200]
        assert command(served, "rotate", "app", "--grace", "1h") == 1
        assert "rotated a moment ago" in capsys.readouterr().err
        await known(served)
        assert (await chat(served, key)).status == 200, "it keeps what it was promised"
        assert command(served, "rotate", "app") == 0
        third = capsys.readouterr().out.strip()
        await known(served)
        answers = [(await chat(served, each)).status for each in (key, other, third)]
        assert answers == [401, 401, 200]

        assert command(served, "list") == 0
        table = capsys.readouterr().out
        assert third not in table
        assert third[:10] in table
        began = time.perf_counter()
        assert command(served, "revoke", "app") == 0
        while (await chat(served, third)).status == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert time.perf_counter() - began < 2
        refused = await chat(served, third)
        assert (refused.status, refused.error["code"]) == (401, "key_revoked")
        assert command(served, "revoke", "app") == 1
        assert command(served, "list", "--json") == 0
        (row,) = json.loads(capsys.readouterr().out.splitlines()[-1])["keys"]
        assert row["state"] == "revoked"


async def test_what_a_key_may(tmp_path, capsys):
    second = {"tiers": ["large"], "scorer": "rules"}
    async with house(tmp_path, config(**WITH, routes__second=second)) as served:
        words = ("--routes", "waterfall", "--allow", "tier", "--limits", "{rpm: 2}")
        key = create(served, capsys, "app", *words)
        await known(served)
        assert (await chat(served, key, model="second")).status == 404
        assert (await chat(served, key, model="large")).told("tier") == "large"
        assert [(await chat(served, key)).status for _ in range(2)] == [200, 429]
        await known(served)
        assert (await chat(served, key)).status == 429, "a look changes nothing"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("x", "--routes", "nope"), "no route 'nope'"),
        (("x", "--allow", "everything"), "must be tier or threshold or mode"),
        (("x", "--limits", "{rpm: 0}"), "must be a whole number"),
        (("x", "--limits", "{"), "--limits"),
        (("x y",), "must be a letter or digit"),
        (("x", "--expires", "soon"), "--expires must be a duration"),
        (("taken",), "The configuration has a key 'taken' already"),
    ],
)
async def test_what_no_key_can_be_made_of(tmp_path, capsys, words, told):
    async with house(tmp_path, config(**WITH, keys=TAKEN)) as served:
        assert command(served, "create", *words) == 2
        assert told in capsys.readouterr().err


async def test_without_a_store_there_are_no_commands(tmp_path, capsys):
    async with house(tmp_path) as served:
        assert command(served, "list") == 2
        assert "key_store: {enabled: true}" in capsys.readouterr().err
        secret = {"authorization": f"Bearer {served.gateway.admin_secret}"}
        assert (await served.get("/admin/keys", served.admin, **secret)).status == 404


async def test_the_admin_listener_does_the_same(tmp_path):
    async with house(tmp_path, config(**WITH, keys=TAKEN)) as served:
        secret = {"authorization": f"Bearer {served.gateway.admin_secret}"}

        async def ask(path, body=None, method="POST", **headers):
            return await served.post(body or {}, path, served.admin, method, **headers)

        assert (await ask("/admin/keys", {"name": "app"})).status == 401
        made = await ask(
            "/admin/keys", {"name": "app", "limits": {"rpm": 5}, "expires_in": "1d"}, **secret
        )
        assert (made.status, made.header("cache-control")) == (201, "no-store")
        key = made.json["key"]
        await known(served)
        assert (await chat(served, key)).header("x-ratelimit-limit-requests") == "5"
        listed = await served.get("/admin/keys", served.admin, **secret)
        assert key not in listed.body.decode()
        assert listed.json["keys"][0]["limits"] == {"rpm": 5}
        turned = await ask("/admin/keys/app/rotate", {"grace": "1m"}, **secret)
        assert turned.json["key"] != key
        bad = [{"name": 5}, {"name": "b", "limits": {"rpm": -1}}, {"name": "b", "more": 1}]
        bad += [{"name": "b", "expires_in": "soon"}, {"name": "app"}]
        bad += [{"name": "taken"}, {"name": "b", "routes": ["nope"]}]
        assert [(await ask("/admin/keys", each, **secret)).status for each in bad] == [400] * 7
        gone = await ask("/admin/keys/app", method="DELETE", **secret)
        assert gone.json == {"name": "app", "state": "revoked"}
        assert (await ask("/admin/keys/app", method="DELETE", **secret)).status == 404
        await known(served)
        assert (await chat(served, key)).status == 401


async def test_a_store_that_cannot_be_read_is_503_for_who_is_not_known(
    tmp_path, capsys, monkeypatch
):
    async with house(tmp_path, config(**WITH)) as served:
        key = create(served, capsys, "app")
        await known(served)

        def fail(self):
            raise OSError("The ledger is not to be had")

        monkeypatch.setattr(KeyTable, "all", fail)
        await known(served)
        assert (await chat(served, key)).status == 200
        unknown = await chat(served, "wf-nobody-knows-this-one")
        assert (unknown.status, unknown.error["code"]) == (503, "keys_unavailable")
        assert unknown.header("retry-after") == "1"
        monkeypatch.undo()
        await known(served)
        assert (await chat(served, "wf-nobody-knows-this-one")).status == 401


async def test_a_key_is_nowhere_but_with_its_owner(tmp_path, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    async with house(tmp_path, config(**WITH)) as served:
        key = create(served, capsys, "app")
        await known(served)
        await chat(served, key)
        await chat(served, key, model="nothing")
        answers = [await chat(served, key + "x"), await chat(served, key.swapcase())]
        command(served, "revoke", "app")
        await known(served)
        answers.append(await chat(served, key))
        told = b"".join(answer.body for answer in answers).decode()
        told += caplog.text + served.gateway.metrics.render().decode()
        pepper = (tmp_path / "waterfall.db.pepper").read_text()
    for path in tmp_path.iterdir():
        if path.is_file() and path.name != "waterfall.yaml":
            told += path.read_bytes().decode("latin-1")
            assert path.stat().st_mode & 0o077 == 0 or path.suffix == ".log"
    assert key not in told
    assert key[11:] not in told
    assert told.count(pepper) == 1, "in its own file"


def test_a_pepper_is_made_once_and_for_its_owner_alone(tmp_path):
    file = tmp_path / "a" / "x.pepper"
    first = keys.make_pepper(None, file)
    assert keys.make_pepper(None, file) == first == keys.read_pepper(None, file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
    assert keys.make_pepper("given", file) == b"given"
    assert keys.read_pepper(None, tmp_path / "none") is None


class Table:
    rows = ()

    def all(self):
        return list(self.rows)


def ring(*rows, now=1000.0, clock=time.monotonic):
    table = Table()
    table.rows = rows
    found = keyring.Keyring(table, "pepper-of-16-chars", None, lambda: now, clock=clock)
    found.look()
    return found


def test_a_store_that_does_not_answer_is_one_that_cannot_be_read():
    """It hangs: the look that would find a new key does not come back. Until it is overdue what was
    known is new enough; after that nobody can say of a key that there is none."""
    at = [0.0]
    known = ring(clock=lambda: at[0])
    assert not known.failing
    at[0] = 2.0
    assert not known.failing
    at[0] = 2.1
    assert known.failing
    known.look()
    assert not known.failing


def kept(text, **more):
    return StoredKey("a", keys.digest_of(text, b"pepper-of-16-chars"), text[:10], {}, 0.0, **more)


@pytest.mark.parametrize("sent", ["", "wf-", "wf-right-kex", "wf-right-key", "x" * 5000, "ü"])
def test_a_check_hashes_whatever_is_sent_and_once(monkeypatch, sent):
    """Nothing of a key is looked at, nor compared, before it has been hashed."""
    hashed = []
    real = keys.digest_of

    def noting(text, pepper):
        hashed.append(text)
        return real(text, pepper)

    known = ring(kept("wf-right-key"))
    monkeypatch.setattr(keyring, "digest_of", noting)
    assert (known.find(sent) is not None) == (sent == "wf-right-key")
    assert hashed == [sent]


def test_states_and_what_a_rotation_leaves():
    assert kept("k", expires_at=1000.0).state(1000.0) == "expired"
    assert kept("k", expires_at=1001.0).state(1000.0) == "active"
    assert kept("k", revoked_at=5.0).state(1000.0) == "revoked"
    old = keys.digest_of("wf-old", b"pepper-of-16-chars")
    for until, good in ((1001.0, True), (1000.0, False), (None, False)):
        turned = ring(kept("wf-new", old_digest=old, old_until=until))
        assert (turned.find("wf-old") is not None) == good
        assert turned.find("wf-new") is not None


@pytest.mark.live
def test_keys_in_postgresql(postgres_url):
    table = KeyTable(postgres_url)
    assert table.all() == []
    key = kept("wf-one-of-many", expires_at=5e9)
    assert table.add(key)
    assert not table.add(key)
    assert table.all() == [key]
    assert table.rotate("a", "d", "wf-other-o", 7.0)
    assert (table.all()[0].old_digest, table.all()[0].digest) == (key.digest, "d")
    assert not table.rotate("a", "e", "wf-third-o", 9.0, 6.0)
    assert table.rotate("a", "e", "wf-third-o", 9.0, 7.0)
    assert table.revoke("a", 9.0)
    assert not table.revoke("a", 10.0)
    assert table.all()[0].state(0.0) == "revoked"
