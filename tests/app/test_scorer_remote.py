"""An embeddings endpoint as a scorer: its vectors are read, anything else it does is survived."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json

import numpy as np
import orjson
import pytest
from api.serving import ask_for, config, house
from app.scoring import metric, money_adds_up
from upstreams.scripted import Scripted, head, whole

from gateway.app import REFUSALS
from gateway.cli.route import plan
from gateway.scorers import ArtefactError, read_heads
from gateway.scorers.artefact import digest
from router_models.difficulty.remote import RemoteModel, write_remote

AXES = np.array([[-4.0, 4.0], [0.0, 0.0], [4.0, -4.0]])
HARD, EASY = [2.0, 0, 0], [0, 0, 0.5]
LABEL = "emb@7"


def write(folder, weights=AXES, model="toy-embed", heads=2):
    """Two heads (or more) of three dimensions: the first axis is hard, the last one easy."""
    weights = weights[:, [0, 1, 1][:heads]]
    curves = ((1.0, 0.0),) * heads
    learnt = RemoteModel(
        weights, np.zeros(heads), curves, (-0.9, 0.0, 0.9), np.zeros((0, heads)), 1.0
    )
    write_remote(folder, learnt, LABEL, model, {})
    return folder


def vector(*numbers, usage=17):
    payload = {"data": [{"index": 0, "embedding": list(numbers)}]}
    return whole(orjson.dumps(payload | ({"usage": {"prompt_tokens": usage}} if usage else {})))


@contextlib.asynccontextmanager
async def embedding(folder, *script, **more):
    """A house whose route reads a scripted server's vectors."""
    write(folder / "heads")
    async with Scripted(*script) as server:
        remote = {"url": f"{server.url}/embeddings", "model": "toy-embed", "artefact": "heads",
                  "timeout": "5s", "price": 100}  # fmt: skip
        document = config(routes__waterfall__scorer={"remote": remote | more})
        async with house(folder, document) as it:
            yield it, server


@pytest.mark.parametrize(("numbers", "start"), [(HARD, "large"), (EASY, "small")])
async def test_its_vector_decides(tmp_path, numbers, start):
    async with embedding(tmp_path, vector(*numbers)) as (it, server):
        reply = await it.chat()
        entry = it.entry(reply)
        assert await money_adds_up(it)
    assert reply.told("start") == f"{start}; score"
    assert reply.told("scorer") == entry["scorer"] == LABEL
    assert len(entry["p_good"]) == 2
    assert float(reply.told("gain")) == pytest.approx(entry["gain"], abs=1e-4)
    request, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert request.startswith(b"POST /v1/embeddings HTTP/1.1")
    wanted = {"model": "toy-embed", "input": "Say hello.", "encoding_format": "float"}
    assert orjson.loads(sent) == wanted
    score, _ = entry["calls"]
    assert (score["purpose"], score["tier"], score["model"]) == ("score", "scorer", "toy-embed")
    assert (score["upstream"], score["prompt_tokens"], score["cost"]) == (
        "embeddings",
        17,
        1_700_000,
    )


async def test_the_prompt_is_cut_and_the_key_is_sent(tmp_path):
    async with embedding(tmp_path, vector(*HARD), api_key="sk-remote") as (it, server):
        await it.chat(messages=[{"role": "user", "content": "H" + "x" * 50_000 + "T"}])
        stated = json.dumps(it.gateway.settings.digest)
    request, _, sent = server.requests[0].partition(b"\r\n\r\n")
    text = orjson.loads(sent)["input"]
    assert b"authorization: Bearer sk-remote" in request
    assert (len(text), text[0], text[-1]) == (2_001, "H", "T")
    assert "sk-remote" not in stated


async def test_usage_that_is_not_told_is_estimated(tmp_path):
    async with embedding(tmp_path, vector(*HARD, usage=None)) as (it, _):
        entry = it.entry(await it.chat())
    assert (entry["calls"][0]["estimated"], entry["calls"][0]["prompt_tokens"]) == (1, 3)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ((vector(1.0, 2.0),), "unusable"),
        ((vector(),), "unusable"),
        ((vector(0, 0, 0),), "unusable"),
        ((vector("a", "b", "c"),), "unusable"),
        ((vector(1e400, 0, 0),), "unusable"),
        ((whole(b'{"data": []}'),), "unusable"),
        ((whole(b'{"data": [{"embedding": "AAAA"}]}'),), "unusable"),
        ((whole(b"nonsense"),), "unusable"),
        ((whole(b"[" * 100_000),), "unusable"),
        ((whole(b"x" * (3 << 20)),), "unusable"),
        ((whole(b"{}", 500),), "unreachable"),
        ((whole(b"{}", 503),), "unreachable"),
        ((whole(b"{}", 400),), "rejected"),
        (("reset",), "unusable"),
        (("hang",), "timeout"),
        ((head(content_length=900), *(b" ", 0.05) * 40), "timeout"),
    ],
    ids=range(16),
)
async def test_what_it_cannot_say_the_base_says(tmp_path, script, reason):
    timeout = "250ms" if reason == "timeout" else "5s"
    async with embedding(tmp_path, *script, timeout=timeout) as (it, _):
        reply = await it.chat()
        assert await metric(it, "scorer_fallbacks_total", route="waterfall", reason=reason) == 1
        assert await money_adds_up(it)
    assert reply.status == 200
    assert reply.told("scorer").startswith("default@")
    assert reply.told("scorer").endswith("+fallback")


@pytest.mark.parametrize("script", [(vector(1.0),), (whole(b"{}", 502),)])
async def test_the_breaker_opens(tmp_path, script):
    async with embedding(tmp_path, *script) as (it, server):
        for _ in range(9):
            assert (await it.chat()).status == 200
        assert len(server.requests) == 5
        assert await metric(it, "scorer_fallbacks_total", route="waterfall", reason="open") == 4
        info = (await it.get("/metrics")).body.decode()
    assert f'scorer_version="{LABEL}"' in info


async def test_a_client_s_own_deadline_does_not_open_it(tmp_path):
    async with embedding(tmp_path, "hang") as (it, server):
        for _ in range(7):
            await it.post(ask_for(), x_waterfall_deadline="100ms")
    assert len(server.requests) == 7


# ------------------------------------------------------------------ the artefact


def sign(folder, **changes):
    manifest = json.loads((folder / "scorer.json").read_text()) | changes
    (folder / "scorer.json").write_text(json.dumps(manifest | {"digest": digest(manifest)}))


def pack(folder, **arrays):
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    (folder / "weights.npz").write_bytes(packed.getvalue())
    sign(folder, weights_sha256=hashlib.sha256(packed.getvalue()).hexdigest())


SPOILT = {
    "cannot be read": lambda folder: (folder / "weights.npz").unlink(),
    "is not JSON": lambda folder: (folder / "scorer.json").write_text("{"),
    "is not a JSON object": lambda folder: (folder / "scorer.json").write_text("[]"),
    "its SHA-256 differs": lambda folder: (folder / "weights.npz").write_bytes(b"PK"),
    "its digest differs": lambda folder: (folder / "scorer.json").write_text(
        (folder / "scorer.json").read_text().replace("-0.9", "-0.8")
    ),
    "is not of kind embedding": lambda folder: sign(folder, kind="linear"),
    "this gateway reads": lambda folder: sign(folder, schema=2),
    "'features': 'embedding-0'": lambda folder: sign(folder, features="embedding-0"),
    "of shape": lambda folder: sign(folder, dimension=4),
    "lacks or garbles": lambda folder: pack(folder, weights=AXES),
    "not finite": lambda folder: pack(folder, weights=AXES + np.inf, intercept=np.zeros(2)),
    "real numbers": lambda folder: pack(folder, weights=AXES * 1j, intercept=np.zeros(2)),
    "holds 3 arrays": lambda folder: pack(
        folder, weights=AXES, intercept=np.zeros(2), more=np.zeros(2)
    ),
    "weights is larger than": lambda folder: pack(
        folder, weights=np.zeros((300_000, 2)), intercept=np.zeros(2)
    ),
    "a number beyond": lambda folder: pack(folder, weights=AXES * 1e9, intercept=np.zeros(2)),
    "'schema': 1.0": lambda folder: sign(folder, schema=1.0),
    "in its reference": lambda folder: sign(folder, reference=[0.5, 1.5]),
    "more than 10,000 points": lambda folder: sign(folder, reference=[0.5] * 10_001),
    "reference that falls": lambda folder: sign(folder, reference=[0.5, 0.1]),
    "calibration that falls": lambda folder: sign(folder, calibration=[[-1, 0], [1, 0]]),
    "not name@version": lambda folder: sign(folder, label="no version\r\n"),
}


@pytest.mark.parametrize("told", SPOILT)
def test_a_spoilt_artefact_is_refused(tmp_path, told):
    folder = write(tmp_path / "heads")
    assert read_heads(folder).label == LABEL
    SPOILT[told](folder)
    with pytest.raises(ArtefactError, match=told.replace("(", r"\(")):
        read_heads(folder)


async def test_it_is_refused_at_the_start_and_at_a_reload(tmp_path):
    async with embedding(tmp_path, vector(*HARD)) as (it, _):
        sign(tmp_path / "heads", label="no version")
        assert not await it.gateway.reload()
        assert (await it.chat()).told("scorer") == LABEL, "the last good one stays"
    write(tmp_path / "heads", model="another")
    with pytest.raises(REFUSALS, match="reads vectors of 'another'"):
        async with house(tmp_path, _document(tmp_path)):
            pass
    write(tmp_path / "heads", heads=3)
    with pytest.raises(REFUSALS, match=f"remote: {LABEL} knows 3 tiers and the route has 2"):
        async with house(tmp_path, _document(tmp_path)):
            pass
    with pytest.raises(REFUSALS, match="this gateway reads 2"):
        async with house(tmp_path, config(routes__waterfall__scorer="heads")):
            pass


def _document(folder):
    remote = {
        "url": "http://127.0.0.1:9/e",
        "model": "toy-embed",
        "artefact": str(folder / "heads"),
        "price": 0,
    }
    return config(routes__waterfall__scorer={"remote": remote})


async def test_a_key_that_is_none_is_refused_without_being_told(tmp_path):
    write(tmp_path / "heads")
    document = _document(tmp_path)
    document["routes"]["waterfall"]["scorer"]["remote"]["api_key"] = "sk-ünusual"
    with pytest.raises(REFUSALS) as caught:
        async with house(tmp_path, document):
            pass
    assert "sk-" not in str(caught.value)


async def test_the_command_line_says_who_would_be_asked(tmp_path):
    async with embedding(tmp_path, vector(*HARD)) as (it, server):
        told = plan(it.gateway.settings.routes["waterfall"], "Say hello.", tmp_path / "none.db")
    assert told["asks"] == LABEL
    assert told["scorer"].startswith("default@")
    assert server.requests == []
