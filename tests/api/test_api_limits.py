"""Limits and budgets, whole: what is let in, what is turned away, and what each is charged."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from api.serving import LARGE, REFUSES, SMALL, ask_for, config, house

from gateway.core.money import nano

KEY = "sk-app"
DIGEST = "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()


def keyed(limits, **changes):
    key = {"name": "app", "hash": DIGEST, "allow": ["tier", "mode"], "limits": limits}
    return config(keys=[key, {"name": "free", "hash": "sha256:" + "0" * 64}], **changes)


async def chat(served, key=KEY, session=None, **fields):
    extra = {"x_waterfall_session": session} if session else {}
    return await served.post(ask_for(**fields), authorization=f"Bearer {key}", **extra)


def limited(served):
    lines = served.gateway.metrics.render().decode().splitlines()
    return [line.partition("{")[2] for line in lines if line.startswith("waterfall_limited_total{")]


# ------------------------------------------------------------------ rates


async def test_requests_a_minute(tmp_path):
    async with house(tmp_path, keyed({"rpm": 3})) as served:
        first = await chat(served)
        assert first.header("x-ratelimit-limit-requests") == "3"
        assert first.header("x-ratelimit-remaining-requests") == "2"
        assert first.header("x-ratelimit-reset-requests") == "20s"
        more = await asyncio.gather(*(chat(served) for _ in range(4)))
        assert sorted(each.status for each in more) == [200, 200, 429, 429]
        refused = next(each for each in more if each.status == 429)
        assert refused.error["type"] == "rate_limit_error"
        assert refused.error["code"] == "rate_limit_exceeded"
        assert 1 <= int(refused.header("retry-after")) <= 20
        assert refused.header("x-ratelimit-remaining-requests") == "0"
        assert len(served.entries()) == 3
        assert 'action="reject",limit="rpm",scope="key"} 2.0' in limited(served)[0]


async def test_a_count_of_tokens_is_a_request_and_uses_nothing_else(tmp_path):
    limits = {"rpm": 2, "tpm": 600, "concurrency": 1, "budget_usd": {"day": 0.01}}
    said = {"model": "waterfall", "messages": [{"role": "user", "content": "Say hello."}]}
    async with house(tmp_path, keyed(limits)) as served:
        for status in (200, 200, 429):
            told = await served.post(said, "/v1/messages/count_tokens", x_api_key=KEY)
            assert told.status == status
        assert told.json["error"]["type"] == "rate_limit_error"
        assert served.gateway.switch.service.admission.under_way == 0
        assert served.gateway.switch.room.requests == 0
        assert served.entries() == []


async def test_tokens_are_settled_by_what_was_used(tmp_path):
    """A reply of at most 12 tokens was put aside as 256: what it did not take is there again."""
    async with house(tmp_path, keyed({"tpm": 600})) as served:
        for _ in range(5):
            answer = await chat(served)
            assert answer.status == 200
        used = sum(each.json["usage"]["total_tokens"] for each in [answer])
        assert used < 40
        left = int(answer.header("x-ratelimit-remaining-tokens"))
        assert left > 200
        large = await chat(served, max_tokens=5000)  # more than a minute's worth, and not full
        assert (large.status, large.error["code"]) == (429, "rate_limit_exceeded")


async def test_requests_at_once(tmp_path):
    changes = {"upstreams__sim": {"kind": "simulated", "first_token": 0.1, "tokens": [4, 4]}}
    async with house(tmp_path, keyed({"concurrency": 2}, **changes)) as served:
        first = await asyncio.gather(*(chat(served) for _ in range(3)))
        assert sorted(each.status for each in first) == [200, 200, 429]
        gone = asyncio.create_task(chat(served))
        await asyncio.sleep(0.02)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        again = await asyncio.gather(*(chat(served) for _ in range(2)))
        assert [each.status for each in again] == [200, 200]
        assert served.gateway.switch.service.admission.under_way == 0


async def test_a_tier_s_own_limit_moves_on_to_the_next(tmp_path):
    changes = {"tiers__small__limits": {"rpm": 1}}
    async with house(tmp_path, config(**changes)) as served:
        first, second = await served.chat(), await served.chat()
        assert (first.told("tier"), second.told("tier")) == ("small", "large")
        assert [body["model"] for body in served.sent] == [SMALL, LARGE]
        calls = served.entry(second)["attempts"]
        assert [each["failure"] for each in calls][:1] == ["rate_limited"], calls


# ------------------------------------------------------------------ budgets


def cost(served):
    return sum(each["cost"] for each in served.entries())


async def test_two_hundred_at_once_spend_a_budget_for_one(tmp_path):
    """The request needs 5 + 12 tokens at 1 and 2 dollars a million, and no more than one fits."""
    limits = {"budget_usd": {"day": 0.00004}}
    async with house(tmp_path, keyed(limits, routes__waterfall__fall_down=False)) as served:
        answers = await asyncio.gather(*(chat(served, max_tokens=12) for _ in range(200)))
        good = [each for each in answers if each.status == 200]
        assert len(good) == 1
        refused = next(each for each in answers if each.status == 429)
        assert refused.error["type"] == "insufficient_quota"
        assert refused.header("x-should-retry") == "false"
        assert 0 < int(refused.header("retry-after")) <= 86_400
        assert cost(served) <= nano("0.00004")
        assert len(served.entries()) == 1


async def test_a_budget_lowers_what_a_request_may_spend(tmp_path):
    """Enough for the small tier and not for the large one: a weak answer stays the last word."""
    limits = {"budget_usd": {"day": 0.0001}}
    async with house(tmp_path, keyed(limits)) as served:
        answer = await chat(served, max_tokens=12, **REFUSES)
        assert (answer.status, answer.told("tier"), answer.told("degraded")) == (
            200,
            "small",
            "true",
        )


async def test_over_budget_it_is_served_small(tmp_path):
    limits = {"budget_usd": {"day": {"usd": 0.00000001, "action": "downgrade"}}}
    changes = {"routes__waterfall__threshold": 0}
    async with house(tmp_path, keyed(limits, **changes)) as served:
        answer = await chat(served)
        assert (answer.status, answer.told("tier")) == (200, "small")
        assert answer.told("start") == "small; budget"
        assert answer.told("budget") == "key; day; downgrade"
        pinned = await chat(served, model="large")
        assert pinned.told("tier") == "small"


async def test_over_budget_it_is_served_all_the_same_with_a_warning(tmp_path):
    limits = {"budget_usd": {"month": {"usd": 0.00000001, "action": "warn"}}}
    async with house(tmp_path, keyed(limits, routes__waterfall__threshold=0)) as served:
        answer = await chat(served)
        assert (answer.status, answer.told("tier")) == (200, "large")
        assert answer.told("budget") == "key; month; warn"
        assert 'action="warn",limit="budget_month",scope="key"} 1.0' in limited(served)[0]


async def test_each_session_has_its_own_budget(tmp_path):
    limits = {"budget_usd": {"session": 0.00004}}
    async with house(tmp_path, keyed(limits, routes__waterfall__fall_down=False)) as served:

        async def ask(session):
            return (await chat(served, session=session, max_tokens=12)).status

        assert [await ask("a"), await ask("a"), await ask("b"), await ask(None)] == [
            *(200, 429, 200, 200)
        ]


async def test_one_request_s_budget_is_its_ceiling(tmp_path):
    async with house(tmp_path, keyed({"budget_usd": {"request": 0.00000001}})) as served:
        answer = await chat(served)
        assert (answer.status, answer.error["code"]) == (400, "max_cost_too_low")


async def test_a_route_s_budget_counts_for_all_its_keys(tmp_path):
    changes = {"routes__waterfall__limits": {"budget_usd": {"total": 0.00004}}}
    changes["routes__waterfall__fall_down"] = False
    async with house(tmp_path, config(**changes)) as served:
        answers = [(await served.chat(max_tokens=12)).status for _ in range(2)]
        assert answers == [200, 429]


async def test_a_budget_outlives_the_gateway(tmp_path):
    document = keyed({"budget_usd": {"day": 0.00004}}, routes__waterfall__fall_down=False)
    statuses = []
    for _ in range(2):
        async with house(tmp_path, document) as served:
            statuses.append((await chat(served, max_tokens=12)).status)
    assert statuses == [200, 429]


async def test_a_reload_keeps_what_was_used(tmp_path):
    async with house(tmp_path, keyed({"rpm": 2})) as served:
        assert (await chat(served)).status == 200
        served.write(keyed({"rpm": 3}))
        assert await served.gateway.reload()
        answers = [(await chat(served)).status for _ in range(3)]
        assert answers.count(200) <= 2


async def test_shadows_are_put_aside_and_settled(tmp_path):
    changes = {"routes__waterfall__mode": "observe", "routes__waterfall__shadow": 1}
    limits = {"budget_usd": {"day": 1}}
    async with house(tmp_path, keyed(limits, **changes)) as served:
        assert (await chat(served)).told("tier") == "large"
        admission = served.gateway.switch.service.admission
        while admission.under_way:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        (account,) = [each for each in _accounts(served) if "usd" in each.name]
        entry = served.entries()[0]
        assert account.holding.reserved == 0
        assert account.holding.used == entry["cost"] + entry["shadow_cost"]
        assert entry["shadow_cost"] > 0


def _accounts(served):
    return served.gateway._spending._opened[1]._known.values()


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_request_cost_is_what_its_budget_lost(tmp_path, stream):
    async with house(tmp_path, keyed({"budget_usd": {"day": 1}, "rpm": 10})) as served:
        await chat(served, stream=stream, **REFUSES)
        (money,) = [each for each in _accounts(served) if "usd" in each.name]
        assert money.holding.used == cost(served) > 0
        assert money.holding.reserved == 0


async def test_without_limits_there_is_nothing(tmp_path):
    async with house(tmp_path) as served:
        answer = await served.chat()
        assert served.gateway.switch.service.admission is None
        assert not [name for name in answer.names if name.startswith("x-ratelimit")]
        assert not (tmp_path / "waterfall.db.shared").exists()
