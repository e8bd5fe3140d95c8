"""The mixed load of the proofs about money: every form of request, every fault, clients that leave.

Seeded: the same seed asks the same. Each request carries its name as `user`, which passes the
gateway and is in the upstreams' logs, and as x-request-id, which is in the ledger.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.upstreams.http1 import Pool
from gateway.upstreams.simulated.script import FAULTS, STATUSES
from loadtests.harness import Answer, Upstream, ask, upstream

WIDTH = 32
PRICES = {
    "small": {"input": 0.15, "output": 0.6},
    "brisk": {"input": 0.2, "cached_input": 0.02, "output": 0.8},
    "keen": {"input": 0.3, "cached_input": 0.03, "output": 1.2},
    "large": {"input": 2, "cached_input": 0.2, "output": 8, "request": 0.0001},
    "twin": {"input": 0.1, "output": 0.4},
    "referee": {"input": 0.5, "output": 2},
}
"""Dollars per million tokens; `request` is dollars."""
MODELS = {name: f"m-{name}" for name in PRICES}
UPSTREAMS = {name: "dear" if name in {"large", "referee"} else "cheap" for name in PRICES}
SERVING = ("small", "brisk", "large")
"""Tiers that clients ask for by name. `keen` is hedged; `twin` and `referee` are for checks."""
NAMELESS = frozenset({MODELS["referee"]})
"""Models whose requests carry no name: a judge is shown no user."""
_ROUTES = ["waterfall", "waterfall", "quick", "long", "guessed", "hedged", "watched"]
_HASTE = {"keen": {"hedge": {"after": "15ms", "tier": "same", "share": "50%"}}}
_EVIDENCE = {"brisk": ["second"], "keen": ["grader"]}
"""Paid checks, by the tier whose replies they are put to."""
_CHECKS = ["shape", "refusal", "format", "tools", "logprob"]
_WORDS = "copper harbour lantern meadow north orchard pebble quiet river slate".split()
_TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "sure": {"type": "boolean"}},
    "required": ["answer", "sure"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of the mix; `leave_after` is when its client hangs up, in seconds."""

    name: str
    body: Mapping[str, Any]
    headers: tuple[tuple[bytes, bytes], ...]
    leave_after: float | None
    faults: tuple[str, ...]


def document(urls: Mapping[str, str]) -> dict[str, Any]:
    """Write the gateway's configuration for these upstreams, patient for a second only."""
    patience = {"connect": "2s", "first_token": "1s", "silence": "1s", "total": "10s"}
    holds = {"brisk": {"tokens": 8}, "keen": {"tokens": 8}}
    return {
        "upstreams": {
            name: {"kind": "openai", "base_url": f"{url}/v1", "timeouts": patience}
            for name, url in urls.items()
        },
        "tiers": {
            name: {
                "upstream": UPSTREAMS[name],
                "model": MODELS[name],
                "price": PRICES[name],
                "bar": {"checks": [*_CHECKS, *_EVIDENCE.get(name, ())], **_accept(name)},
                **({"hold": holds[name]} if name in holds else {}),
                **_HASTE.get(name, {}),
            }
            for name in PRICES
        },
        "checks": {
            "second": {"kind": "agreement", "tier": "twin", "concurrent": True},
            "grader": {"kind": "judge", "tier": "referee"},
        },
        "routes": {
            "guessed": {
                "tiers": ["small", "large"],
                "scorer": "rules",
                "threshold": 0.9,
                "speculate": {"band": [0.0, 0.9], "after": "0s"},
            },
            "hedged": {"tiers": ["keen", "large"], "scorer": "rules"},
            "watched": {
                "tiers": ["small", "large"],
                "scorer": "rules",
                "mode": "observe",
                "shadow": "100%",
            },
            "waterfall": {"tiers": ["small", "large"], "scorer": "rules"},
            "quick": {"tiers": ["brisk", "large"], "scorer": "rules"},
            "long": {"tiers": ["small", "brisk", "large"], "scorer": "rules"},
        },
    }


def _accept(tier: str) -> dict[str, float]:
    """What a reply must reach: of one that is last wherever it is, nothing."""
    return {} if tier == "large" else {"accept": 0.75}


def _form(dice: random.Random) -> dict[str, Any]:
    """Choose what the request asks for, beside its prompt."""
    kind = dice.choice(["text", "text", "text", "tools", "forced", "json", "schema", "n", "odds"])
    forms: dict[str, dict[str, Any]] = {
        "text": {},
        "tools": {"tools": [_TOOL], "tool_choice": "auto"},
        "forced": {"tools": [_TOOL], "tool_choice": "required"},
        "json": {"response_format": {"type": "json_object"}},
        "schema": {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": _SCHEMA, "strict": True},
            }
        },
        "n": {"n": 2},
        "odds": {"logprobs": True, "top_logprobs": 2},
    }
    return forms[kind]


def _fault(dice: random.Random, kind: str) -> str:
    settings = {
        "status": f"status={dice.choice(STATUSES)},retry_after=1",
        "slow_first": "slow_first,seconds=0.2",
        "slow_loris": "slow_loris,seconds=0.05",
        "reset": f"reset,after={dice.choice([0, 3])}",
        "error_event": f"error_event,after={dice.choice([0, 5])},status=503",
    }
    broken = {"stall", "cut", "malformed", "short_body"}
    return settings.get(kind, f"{kind},after={dice.choice([0, 1, 12])}" if kind in broken else kind)


def asks(count: int, seed: int, prefix: str = "r") -> list[Ask]:
    """Write `count` requests: a third of them meet a fault, every kind in turn; 8 % leave."""
    dice = random.Random(seed)
    kinds = list(FAULTS)
    made = []
    for place in range(count):
        name = f"{prefix}{place:05d}"
        words = " ".join(dice.choices(_WORDS, k=dice.randint(3, 120)))
        body: dict[str, Any] = {
            "model": dice.choice([*_ROUTES, *SERVING]),
            "messages": [{"role": "user", "content": f"Request {name}: look up {words}."}],
            "user": name,
            **_form(dice),
        }
        if dice.random() < 0.55:
            body["stream"] = True
            if dice.random() < 0.4:
                body["stream_options"] = {"include_usage": True}
        if dice.random() < 0.15:
            body["max_tokens"] = dice.randint(2, 30)
        met = _faults(dice, kinds, place)
        if met:
            body["simulate"] = met
        headers = [(b"x-request-id", name.encode())]
        if dice.random() < 0.2:
            headers.append((b"x-waterfall-details", b"true"))
        leave = dice.uniform(0.0, 0.25) if dice.random() < 0.08 else None
        made.append(Ask(name, body, tuple(headers), leave, tuple(met.values())))
    return made


def _faults(dice: random.Random, kinds: Sequence[str], place: int) -> dict[str, str]:
    if place % 3:
        return {}
    kind = kinds[place // 3 % len(kinds)]
    model = MODELS[dice.choice([*SERVING, "keen", "twin"])]
    met = {model: _fault(dice, kind)}
    if dice.random() < 0.3:
        met = {each: _fault(dice, dice.choice(kinds)) for each in MODELS.values()}
    return met


async def providers(stack: AsyncExitStack, folder: Path, seed: int) -> dict[str, Upstream]:
    """Start both upstreams."""
    pace = ["--seed", str(seed), "--first-token", "0.01", "--per-token", "0.002", "--sigma", "0.5"]
    return {
        name: await stack.enter_async_context(upstream(folder, name, *pace))
        for name in ("cheap", "dear")
    }


async def send(pool: Pool, each: Ask) -> Answer:
    """Send one of them."""
    return await ask(pool, each.body, each.headers, each.leave_after)
