"""The cache of replies, whole: what is said again, to whom, and what never is."""

from __future__ import annotations

import hashlib
import re

import orjson
import pytest
from api.serving import LARGE, REFUSES, SMALL, ask_for, config, house

CACHE = {"routes__waterfall__cache": {}}
NAMES = ("one", "two")
KEYS = [
    {"name": name, "hash": "sha256:" + hashlib.sha256(name.encode()).hexdigest()} for name in NAMES
]


def usage(answer):
    if answer.header("content-type") == "application/json":
        return answer.json["usage"]
    (told,) = [each for each in map(orjson.loads, answer.events[:-1]) if each.get("usage")]
    return told["usage"]


def asked(stream):
    return {"stream": True, "stream_options": {"include_usage": True}} if stream else {}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
async def test_the_same_is_said_again_whole_or_streamed(tmp_path, first, second):
    async with house(tmp_path, config(**CACHE)) as served:
        one = await served.chat(**asked(first))
        two = await served.chat(**asked(second))
        assert (one.told("cache"), two.told("cache")) == ("miss", "hit")
        assert one.text == two.text != ""
        words = ("prompt_tokens", "completion_tokens", "total_tokens")
        assert [usage(one)[word] for word in words] == [usage(two)[word] for word in words]
        assert len(served.sent) == 1
        assert two.told("tier") == one.told("tier") == "small"
        assert two.told("reason") == "cached"
        if second:
            assert two.events[-1] == "[DONE]"
            assert {orjson.loads(each)["object"] for each in two.events[:-1]} == {
                "chat.completion.chunk"
            }
        entry = served.entry(two)
        assert (entry["cost"], entry["call_count"], entry["reason"]) == (0, 0, "cached")
        assert entry["baseline_cost"] == served.entry(one)["baseline_cost"] > 0
        page = served.gateway.metrics.render().decode()
        assert 'waterfall_cache_hits_total{route="waterfall"} 1.0' in page


async def test_off_by_default(tmp_path):
    async with house(tmp_path) as served:
        answers = [await served.chat() for _ in range(2)]
        assert [each.told("cache") for each in answers] == [None, None]
        assert len(served.sent) == 2
        assert not (tmp_path / "waterfall.db.shared").exists()


def both(fault):
    return {"simulate": {SMALL: fault, LARGE: fault}}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"max_tokens": 2}, 200),
        ({"logprobs": True}, 200),
        (both("no_usage"), 200),
        (both("empty_reply"), 200),
        (both("cut"), 502),
        (both("empty"), 502),
    ],
    ids=["cut off", "logprobs", "no usage", "nothing said", "broken off", "failed"],
)
async def test_what_is_never_said_again(tmp_path, fields, status):
    async with house(tmp_path, config(**CACHE)) as served:
        for _ in range(2):
            answer = await served.chat(**fields)
            assert answer.status == status
            assert answer.told("cache") != "hit"


async def test_a_deferred_reply_is_not_said_again(tmp_path):
    ceiling = {"routes__waterfall__max_cost_usd": 0.0001}
    async with house(tmp_path, config(**CACHE, **ceiling)) as served:
        for _ in range(2):
            answer = await served.chat(max_tokens=12, **REFUSES)
            assert (answer.told("degraded"), answer.told("cache")) == ("true", "miss")


async def test_a_reply_that_its_client_left_is_not_said_again(tmp_path):
    slow = {"upstreams__sim__first_token": 0.05}
    async with house(tmp_path, config(**CACHE, **slow)) as served:
        await served.post(ask_for(), stay=False)
        assert (await served.chat()).told("cache") == "miss"


async def test_keys_have_their_own(tmp_path):
    async with house(tmp_path, config(keys=KEYS, **CACHE)) as served:
        found = []
        for name in (*NAMES, *NAMES):
            answer = await served.post(ask_for(), authorization=f"Bearer {name}")
            found.append(answer.told("cache"))
        assert found == ["miss", "miss", "hit", "hit"]


async def test_another_configuration_has_its_own(tmp_path):
    async with house(tmp_path, config(**CACHE)) as served:
        await served.chat()
        served.write(config(**CACHE, tiers__small__recipe=str(_recipe(tmp_path))))
        assert await served.gateway.reload()
        assert (await served.chat()).told("cache") == "miss"
        assert (await served.chat()).told("cache") == "hit"


def _recipe(folder):
    path = folder / "r.yaml"
    path.write_text("version: 1\nbefore: Be terse.\n")
    return path


async def test_its_client_may_do_without(tmp_path):
    async with house(tmp_path, config(**CACHE)) as served:

        async def ask(**headers):
            return (await served.post(ask_for(), **headers)).told("cache")

        assert await ask(cache_control="no-store") is None
        assert await ask() == "miss"
        assert await ask(cache_control="no-cache") == "miss"
        assert await ask() == "hit"
        assert await ask(cache_control="no-store") is None


@pytest.mark.parametrize("which", ["first", "hit"])
async def test_who_does_not_like_it_withdraws_it(tmp_path, which):
    async with house(tmp_path, config(**CACHE)) as served:
        answers = {"first": await served.chat(), "hit": await served.chat()}
        about = answers[which].header("x-request-id")
        good = await served.post({"request_id": about, "score": 1}, "/v1/feedback")
        assert good.status == 200
        assert (await served.chat()).told("cache") == "hit"
        bad = await served.post({"request_id": about, "score": 0}, "/v1/feedback")
        assert bad.status == 200
        assert (await served.chat()).told("cache") == "miss"


async def test_it_has_its_time_and_its_size(tmp_path):
    brief = {"routes__waterfall__cache": {"ttl": "1s"}}
    async with house(tmp_path, config(**brief)) as served:
        await served.chat()
        shared = served.gateway._spending._opened[0]
        now = shared._wall
        shared._wall = lambda: now() + 0.9
        assert (await served.chat()).told("cache") == "hit"
        shared._wall = lambda: now() + 1.1
        assert (await served.chat()).told("cache") == "miss"
    small = {"routes__waterfall__cache": {"largest": 100}}
    async with house(tmp_path, config(**small)) as served:
        await served.chat()
        assert (await served.chat()).told("cache") == "miss"


async def test_a_key_over_its_limits_is_refused_though_its_reply_is_kept(tmp_path):
    limited = [{**KEYS[0], "limits": {"budget_usd": {"day": 0.00004}, "rpm": 3}}]
    changes = {"routes__waterfall__fall_down": False}
    async with house(tmp_path, config(keys=limited, **CACHE, **changes)) as served:

        async def ask(**fields):
            return await served.post(ask_for(**fields), authorization="Bearer one")

        assert (await ask(max_tokens=12)).status == 200
        refused = await ask(max_tokens=12)
        assert (refused.status, refused.error["code"]) == (429, "insufficient_quota")


async def test_all_workers_have_the_same(tmp_path):
    async with house(tmp_path, config(**CACHE)) as one, house(tmp_path, config(**CACHE)) as other:
        await one.chat()
        answer = await other.chat()
        assert answer.told("cache") == "hit"
        await other.post({"request_id": answer.header("x-request-id"), "score": 0}, "/v1/feedback")
        assert (await one.chat()).told("cache") == "miss"


MESSAGES = {"model": "waterfall", "max_tokens": 50, "messages": ask_for()["messages"]}
RESPONSES = {"model": "waterfall", "input": "Say hello."}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"), [("/v1/messages", MESSAGES), ("/v1/responses", RESPONSES)]
)
async def test_every_dialect_says_it_again_in_its_own_words(tmp_path, path, body, stream):
    async with house(tmp_path, config(**CACHE)) as served:
        one, two = [await served.post({**body, "stream": stream}, path) for _ in range(2)]
        assert (one.status, two.status) == (200, 200), two.body
        assert (one.told("cache"), two.told("cache")) == ("miss", "hit")
        assert len(served.sent) == 1
        assert _words(one) == _words(two)
        assert _figures(one) == _figures(two)
        chat = await served.chat(max_tokens=50)
        assert chat.told("cache") == "miss", "another dialect asks for itself"


def _words(answer):
    """What was said, whole or in pieces."""
    found = re.findall(rb'"text":"((?:[^"\\]|\\.)*)"', answer.body)
    found += re.findall(rb'"delta":"((?:[^"\\]|\\.)*)"', answer.body)
    return (
        max(found, key=len)
        if not answer.header("content-type").startswith("text/")
        else set(b"".join(found).split())
    )


def _figures(answer):
    return max(re.findall(rb'"output_tokens":(\d+)', answer.body), key=int)


async def test_what_money_kept_small_is_not_said_again_to_who_has_it(tmp_path):
    """A request that may spend little is served small; the same without that is another one. And a
    session that is over its budget keeps nothing for one that is not."""
    session = {"session": {"usd": 0.00000001, "action": "downgrade"}}
    keys = [{**KEYS[0], "limits": {"budget_usd": session}}]
    changes = {"keys": keys, "routes__waterfall__threshold": 0}
    async with house(tmp_path, config(**CACHE, **changes)) as served:
        said = {"authorization": "Bearer one"}
        for more in ({"x_waterfall_max_cost_usd": "0.0001"}, {"x_waterfall_session": "s"}):
            asked = ask_for(content=str(more), max_tokens=12)
            small = await served.post(asked, **said, **more)
            assert (small.told("tier"), small.told("start")) == ("small", "small; budget")
            whole = await served.post(asked, **said)
            assert (whole.told("tier"), whole.told("cache")) == ("large", "miss")
