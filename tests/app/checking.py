"""Gateways whose small tier answers as scripted, and whose checks ask another scripted server."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import orjson
from api.serving import ALONE, config, house
from app.scoring import PRICE, said
from upstreams.scripted import Scripted, whole

SMALL_PRICE = {"input": 1, "output": 2}


def calls_tool(*calls):
    """A chat completion that calls tools: pairs of name and arguments."""
    made = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": made}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return whole(orjson.dumps({"object": "chat.completion", "choices": [choice]}))


def bodies(server):
    """The JSON bodies that a server was sent."""
    return [orjson.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]


def document(small, second, check, *, bar=None, name="second", **changes):
    """Two servers, a check that asks the second of them, and a simulated large tier."""
    asked = {"upstream": "other", "model": "asked-model", "price": PRICE}
    return config(
        upstreams__near={"base_url": small.url, **ALONE},
        upstreams__other={"base_url": second.url, **ALONE},
        tiers__small={
            "upstream": "near",
            "model": "s-model",
            "price": SMALL_PRICE,
            "bar": {"checks": ["shape", "refusal", "format", "tools", name], **(bar or {})},
        },
        **{"tiers__asked": asked, "checks": {name: check}, **changes},
    )


@contextlib.asynccontextmanager
async def checking(folder, small, second, check, **changes):
    """A house whose small tier says `small`, and whose check asks the server that says `second`:
    each a row of steps, or rows."""
    async with (
        Scripted(*small) as near,
        Scripted(*second) as other,
        house(folder, document(near, other, check, **changes)) as it,
    ):
        yield it, near, other


def found(entry, name="second", attempt=0):
    """What a check found of an attempt, as the ledger has it."""
    rows = [row for row in entry["attempts"][attempt]["checks"] if row["check"] == name]
    (row,) = rows
    return row


def alive(place):
    """Which of the processes that are named there still run."""
    found = []
    for pid in place.read_text().split():
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
            found.append(pid)
    return found


AGREEMENT = {"kind": "agreement", "tier": "asked"}
JUDGE = {"kind": "judge", "tier": "asked"}
__all__ = [
    "AGREEMENT",
    "JUDGE",
    "alive",
    "bodies",
    "calls_tool",
    "checking",
    "document",
    "found",
    "said",
]
