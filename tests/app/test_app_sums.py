"""What was spent in every dialect, plain and streamed, well and badly: metrics and ledger agree."""

from __future__ import annotations

import asyncio
import random
import re
import sqlite3
from contextlib import closing

from api.serving import CHAT, LARGE, SMALL, house

TEXT = "How many words are there? "
ASKED = {
    CHAT: lambda text: {"messages": [{"role": "user", "content": text}], "n": 2},
    "/v1/responses": lambda text: {"input": text},
    "/v1/messages": lambda text: {
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 50,
    },
    "/v1/completions": lambda text: {"prompt": text},
}
FAULTS = (None, None, "no_usage", "absurd_usage", "cut", "refusal", "malformed")
SAME = {
    ("cost_usd_total", ""): "sum(cost + shadow_cost + gateway_cost) FROM request",
    ("baseline_cost_usd_total", ""): "sum(baseline_cost) FROM request",
    ("discarded_cost_usd_total", ""): "sum(discarded_cost) FROM request",
    ("tokens_total", 'type="input"'): 'sum(prompt_tokens) FROM "call"',
    ("tokens_total", 'type="output"'): 'sum(completion_tokens) FROM "call"',
    ("attempts_total", ""): 'count(*) FROM "call"',
    ("requests_total", ""): "count(*) FROM request",
    ("unpriced_requests_total", 'reason="estimated_tokens"'): 'sum(estimated) FROM "call"',
}
"""What metrics have of some labels, and what the ledger says of the same."""


def asked(chance):
    """Draw one request of each dialect: where it goes, and what is asked."""
    for path, words in ASKED.items():
        body = {"model": chance.choice(("waterfall", "plain", "small")), **words(TEXT)}
        body["stream"] = chance.random() < 0.5
        if fault := chance.choice(FAULTS):
            body["simulate"] = {chance.choice((SMALL, LARGE)): fault}
        yield path, body


async def test_metrics_and_ledger_agree_to_the_nano_dollar_in_every_dialect(tmp_path):
    changes = {
        "prices__gateway_cost": 0.0000037,
        "routes__plain": {"tiers": ["small", "large"], "scorer": "rules"},
        "routes__waterfall__mode": "observe",
        "routes__waterfall__shadow": 0.5,
    }
    chance, statuses = random.Random(5), set()
    async with house(tmp_path, **changes) as it:
        for path, body in [one for _ in range(15) for one in asked(chance)]:
            statuses.add((await it.post(body, path)).status)
        await it.gateway.switch.service.in_flight.idle()
        assert await asyncio.to_thread(it.gateway.store.flush, 20)
        page = (await it.get("/metrics")).body.decode()
        with closing(sqlite3.connect(it.gateway.settings.ledger.path)) as connection:
            told = {
                key: connection.execute(f"SELECT {sql}").fetchone()[0] for key, sql in SAME.items()
            }
            shadows = connection.execute("SELECT sum(shadow_cost) FROM request").fetchone()[0]
    assert {200, 502} <= statuses
    assert shadows > 0
    for (name, label), value in told.items():
        rows = re.findall(rf"^waterfall_{name}\{{(.*)\}} (\S+)$", page, re.MULTILINE)
        found = sum(float(number) for labels, number in rows if label in labels)
        exact = round(found * 1e9) if "usd" in name else found
        assert exact == value > 0, name
