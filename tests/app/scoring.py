"""Gateways whose scorer waits for a scripted server, and what they say of it."""

from __future__ import annotations

import contextlib
import re
from decimal import Decimal

import orjson
from api.serving import ALONE, config, house
from upstreams.scripted import Scripted, whole

from gateway.core.money import NANO

USAGE = {"prompt_tokens": 211, "completion_tokens": 3, "total_tokens": 214}
PRICE = {"input": 3, "output": 7}
SPENT = 211 * 3_000 + 3 * 7_000
"""Nano-dollars of a call with USAGE at PRICE."""


def said(text, usage=USAGE):
    """A chat completion that says this."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    payload = {"object": "chat.completion", "choices": [choice]}
    return whole(orjson.dumps(payload | ({"usage": usage} if usage else {})))


def llm(**changes):
    """A scorer that asks the scripted server about everything."""
    asked = {"upstream": "asked", "model": "judge", "price": PRICE, "band": [0, 1], "base": "rules"}
    return {"llm": asked | {"timeout": "5s"} | changes}


@contextlib.asynccontextmanager
async def asking(folder, *script, scorer=None, **changes):
    """A house whose route asks a scripted server how hard a request is."""
    async with Scripted(*script) as server:
        document = config(
            upstreams__asked={"kind": "openai", "base_url": server.url, **ALONE},
            routes__waterfall__scorer=scorer or llm(),
            **changes,
        )
        async with house(folder, document) as it:
            yield it, server


async def metric(it, name, **labels):
    """One sample; None when there is no such series."""
    page = (await it.get("/metrics")).body.decode()
    for found, written, value in re.findall(r"^waterfall_(\w+)\{(.*)\} (\S+)$", page, re.MULTILINE):
        if found == name and dict(re.findall(r'(\w+)="([^"]*)"', written)) == labels:
            return float(value)
    return None


async def money_adds_up(it):
    """Calls to requests to metrics, to the nano-dollar."""
    page = (await it.get("/metrics")).body.decode()
    values = re.findall(r"^waterfall_cost_usd_total\{.*\} (\S+)", page, re.MULTILINE)
    counted = sum(int((Decimal(value) * NANO).to_integral_value()) for value in values)
    entries = it.entries()
    return counted == sum(entry["cost"] for entry in entries) > 0
