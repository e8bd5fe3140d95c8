"""A gateway between two simulated providers, all on real sockets; and what must hold after every
fault, whatever it was."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass, field

import orjson
from app.serving import listening

from gateway.store.ledgers import reading
from gateway.upstreams.http1 import HttpError, Pool, Timeouts
from gateway.upstreams.simulated import Behaviour, Length, Model, Pace, serve_simulated
from gateway.upstreams.simulated.script import read_rules

CANARY_KEY, CANARY_PROMPT = "sk-canary-5a1c", "canary prompt 77"
SMALL, LARGE = "s-model", "l-model"
# Far above what a busy machine stands still for, and short enough to wait for.
LIMITS = {"connect": "800ms", "first_token": "800ms", "silence": "800ms", "total": "2s"}
PATIENT = Timeouts(connect=5, first_token=20, silence=20, total=40)
QUICK = Model(length=Length(median=8, most=10, least=6), pace=Pace(0.0, 0.0, 0.0, 0.0))
JSON = b"content-type: application/json\r\n"


def document(small, large, **more):
    """A waterfall of two tiers at two providers, impatient."""
    around = {"api_key": CANARY_KEY, "timeouts": LIMITS, "breaker": "off"} | more.pop("around", {})
    upstreams = {"near": {"base_url": small, **around}, "far": {"base_url": large, **around}}
    route = {"tiers": ["small", "large"], "scorer": "rules", "deadline": "8s"}
    return {
        "server": {"port": 0, "admin": "127.0.0.1:0", **more.pop("server", {})},
        "upstreams": upstreams | more.pop("upstreams", {}),
        "tiers": {
            "small": {
                "upstream": more.pop("at", "near"),
                "model": SMALL,
                "price": {"input": 1, "output": 2},
                "bar": more.pop("bar", {}),
            },
            "large": {"upstream": "far", "model": LARGE, "price": {"input": 10, "output": 20}},
        },
        "routes": {"waterfall": route | more.pop("route", {})},
        **more,
    }


@dataclass
class Reply:
    """What a client got. `ended` says that the message was whole."""

    status: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    seconds: float = 0.0

    @property
    def error(self):
        """The error, which is in OpenAI's shape."""
        error = orjson.loads(self.body)["error"]
        assert {"message", "type", "param", "code"} <= set(error)
        return error

    def told(self, name):
        return self.headers.get(f"x-waterfall-{name}")

    @property
    def events(self):
        lines = self.body.decode().split("\n")
        return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]

    @property
    def text(self):
        if self.headers.get("content-type", "").startswith("application/json"):
            return orjson.loads(self.body)["choices"][0]["message"]["content"]
        chunks = [orjson.loads(data) for data in self.events if data != "[DONE]"]
        said = [c["delta"].get("content") for each in chunks for c in each.get("choices", ())]
        return "".join(part for part in said if part)


class Rig:
    """The gateway, its providers, and a client that keeps count of what it asked."""

    def __init__(self, served, folder, near, far):
        self.served, self.folder, self.near, self.far = served, folder, near, far
        self.pool = Pool(served.base_url.removesuffix("/v1"))
        self.answered, self.left = [], 0

    @property
    def gateway(self):
        return self.served.gateway

    def script(self, *rules, at="near"):
        """Replace a provider's rules."""
        provider = getattr(self, at).provider
        provider.direct(Behaviour(default=QUICK, rules=read_rules(list(rules))))

    async def ask(self, fault=None, *, stream=False, path="/v1/chat/completions", **fields):
        """Ask; `fault` is what happens at the small tier's provider, or a mapping by model."""
        body = {
            "model": fields.pop("model", "waterfall"),
            "messages": [{"role": "user", "content": f"{CANARY_PROMPT}: say hello."}],
            **({"stream": True} if stream else {}),
            **({"simulate": fault if isinstance(fault, dict) else {SMALL: fault}} if fault else {}),
            **fields.pop("body", {}),
        }
        heads = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in fields.items()).encode()
        reply, began = Reply(), time.perf_counter()
        try:
            async with self.pool.exchange(
                "POST", path, JSON + heads, orjson.dumps(body), PATIENT
            ) as exchange:
                reply.status = exchange.status
                reply.headers = {k.decode(): v.decode() for k, v in exchange.headers.items()}
                while block := await exchange.read():
                    reply.body += block
                reply.ended = True
        except HttpError:
            pass
        except asyncio.CancelledError:
            self.left += 1
            raise
        finally:
            reply.seconds = time.perf_counter() - began
        self.answered.append(reply)
        return reply

    async def metric(self, name, **labels):
        """The sum of a metric's samples with these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        page = self.gateway.metrics.render().decode()
        found = [
            line
            for line in page.splitlines()
            if re.match(rf"waterfall_{name}(\{{| )", line) and all(w in line for w in wanted)
        ]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def rows(self, table):
        assert self.gateway.store.flush(20)
        with reading(self.gateway.settings.ledger.place) as connection:
            return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608

    async def quiet(self):
        """Wait until nothing is under way, at the gateway and at its providers."""
        async with asyncio.timeout(10):
            while self.gateway.switch.service.in_flight.count or self._open():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def _open(self):
        return any(line["outcome"] == "open" for line in self.lines())

    def lines(self):
        """The calls that both providers have seen."""
        return [line for each in (self.near, self.far) for line in each.lines()]

    async def invariants(self, *, works=True):
        """What holds after every fault. Asks once more, unless `works` says that it cannot."""
        await self.quiet()
        if works:
            self.script(at="near")
            self.script(at="far")
            assert (await self.ask()).status == 200, "6: the next request works"
        requests, calls = self.rows("request"), self.rows("call")
        answered = [each for each in self.answered if "x-waterfall-attempts" in each.headers]
        assert len({each["id"] for each in requests}) == len(requests)
        assert len(requests) >= len(answered), "1: one ending for each request"
        assert all(each["status"] for each in requests)
        lines = self.lines()
        assert len(calls) == len(lines), "2: calls that were seen are in the ledger"
        assert {each["status"] for each in calls} <= {"ok", "failed", "left", "cancelled"}
        self._billed(calls, lines)
        assert await self.metric("in_flight_requests") == 0, "4"
        assert await self.metric("upstream_in_flight_calls") == 0, "4"
        assert await self.metric("ledger_open_calls") == 0, "4"
        log = (self.folder / "requests.log").read_text()
        assert CANARY_KEY not in log, "5: no secret"
        assert CANARY_PROMPT not in log, "5: no prompt"

    def _billed(self, calls, lines):
        """3: nobody is billed for more than was said, but where it had to be estimated."""
        for model in (SMALL, LARGE):
            exact = [c for c in calls if c["model"] == model and not c["estimated"]]
            billed = sum(each["completion_tokens"] for each in exact)
            said = sum(line["tokens"] for line in lines if line["model"] == model)
            assert billed <= said, "3: billed is at most what was delivered"


@contextlib.asynccontextmanager
async def rigged(folder, **more):
    """Set everything up; see to the invariants at the end."""
    works = more.pop("works", True)
    folder.mkdir(exist_ok=True)
    async with (
        serve_simulated(Behaviour(default=QUICK), key=CANARY_KEY) as near,
        serve_simulated(Behaviour(default=QUICK), key=CANARY_KEY) as far,
        listening(folder, document(f"{near.url}/v1", f"{far.url}/v1", **more)) as served,
    ):
        rig = Rig(served, folder, near, far)
        try:
            yield rig
            await rig.invariants(works=works)
        finally:
            await rig.pool.aclose()
