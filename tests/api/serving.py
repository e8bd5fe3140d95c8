"""A whole gateway behind a small ASGI client: configurations in a line, requests byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from dataclasses import dataclass, field

import orjson
import yaml

import gateway.app
from gateway.app import Gateway, read_settings
from gateway.store import read
from gateway.upstreams.fleet import Warmed

LIMIT = 60.0  # seconds: a ceiling for hangs, nothing is measured against it
CHAT = "/v1/chat/completions"
SMALL, LARGE = "s-model", "l-model"
REFUSES = {"simulate": {SMALL: "refusal"}}
"""A field of a request that makes the small model's answer one that is not good enough."""


ALONE = {"retries": "off", "breaker": "off"}
"""An upstream with nothing around it that acts on failures."""


def config(**changes):
    """A configuration of two simulated tiers, with changes: `routes__waterfall__mode="observe"`;
    None takes a key out. Nothing is retried nor left alone, so that each fault is met as it is."""
    document = {
        "server": {"port": 0, "admin": "127.0.0.1:0"},
        "upstreams": {
            "sim": {
                "kind": "simulated",
                "first_token": 0,
                "per_token": 0,
                "tokens": [8, 12],
                **ALONE,
            }
        },
        "tiers": {
            "small": {"upstream": "sim", "model": SMALL, "price": {"input": 1, "output": 2}},
            "large": {"upstream": "sim", "model": LARGE, "price": {"input": 10, "output": 20}},
        },
        "routes": {"waterfall": {"tiers": ["small", "large"], "scorer": "rules"}},
    }
    for trail, value in changes.items():
        *above, last = trail.split("__")
        place = document
        for name in above:
            place = place.setdefault(name, {})
        if value is None:
            place.pop(last)
        else:
            place[last] = value
    return document


def ask_for(model="waterfall", **fields):
    """A request's body."""
    return {"model": model, "messages": [{"role": "user", "content": "Say hello."}], **fields}


@dataclass
class Answer:
    """What came back: `raised` is what the app raised after answering, `blocks` the body's."""

    status: int = 0
    headers: list = field(default_factory=list)
    blocks: list = field(default_factory=list)
    whole: bool = False
    raised: BaseException | None = None

    @property
    def body(self):
        return b"".join(self.blocks)

    @property
    def json(self):
        return orjson.loads(self.body)

    @property
    def error(self):
        """The error, which is in OpenAI's shape and nothing else."""
        assert self.header("content-type") == "application/json"
        assert set(self.json) == {"error"}
        error = self.json["error"]
        assert {"message", "type", "param", "code"} <= set(error), error
        assert isinstance(error["message"], str)
        assert len(error["message"]) > 5
        assert "Traceback" not in error["message"]
        return error

    @property
    def names(self):
        return [name.decode() for name, _ in self.headers]

    def header(self, name):
        found = [value.decode() for key, value in self.headers if key == name.encode()]
        assert len(found) <= 1, (name, found)
        return found[0] if found else None

    def told(self, name):
        return self.header(f"x-waterfall-{name}")

    @property
    def events(self):
        """The stream's lines of data; every line belongs to an event that ended."""
        assert self.header("content-type") == "text/event-stream"
        assert self.body.endswith(b"\n\n")
        lines = self.body.decode().split("\n")
        return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]

    @property
    def text(self):
        """What the reply said, plain or streamed."""
        if self.header("content-type") == "application/json":
            return self.json["choices"][0]["message"]["content"]
        chunks = [orjson.loads(data) for data in self.events if data != "[DONE]"]
        parts = [choice["delta"].get("content") for each in chunks for choice in each["choices"]]
        return "".join(part for part in parts if part)


async def send(app, method, path, *, headers=(), blocks=(b"",), query=b"", stay=True):
    """Send one request as it is; `stay` False hangs up once the body is sent."""
    answer = Answer()
    waiting = list(blocks)
    gone = asyncio.Event()

    async def receive():
        if waiting:
            block = waiting.pop(0)
            return {"type": "http.request", "body": block, "more_body": bool(waiting)}
        if stay:
            await gone.wait()
        return {"type": "http.disconnect"}

    async def take(message):
        if message["type"] == "http.response.start":
            assert answer.status == 0, "a second start"
            answer.status, answer.headers = message["status"], list(message["headers"])
        else:
            assert answer.status, "a body before its start"
            assert not answer.whole, "a body behind its end"
            answer.blocks.append(message.get("body", b""))
            answer.whole = not message.get("more_body")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "root_path": "",
        "query_string": query,
        "headers": [(name.lower(), value) for name, value in headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8080),
    }
    try:
        async with asyncio.timeout(LIMIT):
            await app(scope, receive, take)
    except Exception as error:  # noqa: BLE001 (the middleware hands on what it has answered)
        answer.raised = error
    return answer


def header_rows(named):
    """`{"x_waterfall_tier": "small"}` as ASGI's pairs."""
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]


class House:
    """An opened gateway, its apps, and what its upstreams were sent."""

    def __init__(self, opened, path, sent):
        self.gateway, self.path, self.sent = opened, path, sent
        self.app, self.admin = opened.main(), opened.admin()
        self._before = 0

    def begin(self):
        """Forget what has been sent and recorded."""
        self.sent.clear()
        self._before += len(self.entries())

    async def get(self, path, app=None, host="localhost", **headers):
        rows = header_rows({"host": host, **headers})
        return await send(app or self.app, "GET", path, headers=rows)

    async def post(self, body, path=CHAT, app=None, method="POST", stay=True, **headers):
        """Post a JSON value, or bytes as they are."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        named = {"host": "localhost", "content_type": "application/json", **headers}
        return await send(
            app or self.app, method, path, headers=header_rows(named), blocks=[raw], stay=stay
        )

    async def chat(self, **fields):
        return await self.post(ask_for(**fields))

    def write(self, document):
        self.path.write_text(yaml.safe_dump(document))

    def entries(self):
        assert self.gateway.store.flush(LIMIT)
        return read.requests(self.gateway.settings.ledger.place)[self._before :]

    def entry(self, answer):
        assert self.gateway.store.flush(LIMIT)
        found = read.request(self.gateway.settings.ledger.place, answer.header("x-request-id"))
        assert found is not None
        return found

    def attempts(self, answer):
        """The rows of a request's attempts, in order."""
        assert self.gateway.store.flush(LIMIT)
        place = self.gateway.settings.ledger.place
        number = read.request(place, answer.header("x-request-id"))["id"]
        with contextlib.closing(sqlite3.connect(place)) as connection:
            connection.row_factory = sqlite3.Row
            sql = "SELECT * FROM attempt WHERE request = ? ORDER BY seq"
            return [dict(row) for row in connection.execute(sql, (number,))]


class _Noted:
    """An upstream that notes the bodies that it is sent."""

    def __init__(self, real, sent):
        self._real, self._sent = real, sent

    async def call(self, call, receive):
        self._sent.append(call.body)
        await self._real.call(call, receive)

    async def count(self, call):
        return await self._real.count(call)

    async def warm(self):
        if isinstance(self._real, Warmed):
            await self._real.warm()

    async def aclose(self):
        await self._real.aclose()


@contextlib.asynccontextmanager
async def house(folder, document=None, **changes):
    """Open a gateway in a folder."""
    path = folder / "waterfall.yaml"
    path.write_text(yaml.safe_dump(document or config(**changes)))
    path.chmod(0o600)
    sent = []
    real = gateway.app.open_upstream
    gateway.app.open_upstream = lambda settings: _Noted(real(settings), sent)
    try:
        with (folder / "requests.log").open("ab") as log:
            opened = Gateway(read_settings(path, {}), path, log.fileno())
            try:
                yield House(opened, path, sent)
            finally:
                await opened.close()
    finally:
        gateway.app.open_upstream = real
