"""What a configuration comes to: frozen values, ready for the composition root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.config.presets import BEARER
from gateway.core.accepts import EVERYTHING, Accepts
from gateway.core.cascade import Tier
from gateway.core.check_spec import CheckDefinition
from gateway.core.database_url import DatabaseUrl
from gateway.core.limits import Limits
from gateway.core.money import Price
from gateway.core.room import CAPS, Caps
from gateway.core.routing import Route


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the gateway listens, in how many processes. `max_body` is in bytes, of one
    request, `max_in_flight_bytes` of all that a process has under way; `drain` is in
    seconds, as is `read_timeout`, of a request's head and of a silence in its body; `admin` is the
    admin listener's (host, port), None when it is off; `docs` says whether the main listener
    describes itself."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    admin: tuple[str, int] | None = ("127.0.0.1", 9090)
    admin_key: str | None = field(default=None, repr=False)
    max_body: int = 10_000_000
    max_in_flight: int = 1000
    max_in_flight_bytes: int = 256_000_000
    caps: Caps = CAPS
    drain: float = 30.0
    read_timeout: float = 30.0
    log: Literal["json", "human"] = "json"
    docs: bool = False

    @property
    def bounds(self) -> Mapping[str, Any]:
        """What one request may have, by the names that a service calls it."""
        return {"max_body": self.max_body, "caps": self.caps}

    @property
    def room(self) -> tuple[int, int]:
        """How many requests, and bytes of them, a process takes on at once."""
        return self.max_in_flight, self.max_in_flight_bytes


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an upstream may take, in seconds: to connect, from the request to its first token,
    between two tokens, and in all."""

    connect: float = 2.0
    first_token: float = 20.0
    silence: float = 20.0
    total: float = 120.0


@dataclass(frozen=True, slots=True)
class SimulatedSettings:
    """How a simulated upstream behaves. `first_token` and `per_token` are seconds, `tokens` the
    least and most of a reply, the rates shares of calls, `answers` a JSON answer key, and
    `accuracy` the share answered as the key says: of all models alike, or by model name."""

    seed: int = 0
    first_token: float = 0.05
    per_token: float = 0.01
    tokens: tuple[int, int] = (20, 120)
    error_rate: float = 0.0
    stall_rate: float = 0.0
    answers: Path | None = None
    accuracy: float | Mapping[str, float] = 1.0


@dataclass(frozen=True, slots=True)
class Resilience:
    """What stands around an upstream. `retries` is how often one call is made again at most, within
    a budget of `retry_share` of the calls and `retry_least` a second; `breaker_failures` in a row
    open its breaker (0: none do) for `breaker_pause` seconds. Of each model it is given
    `concurrency` calls at once (0: any number), fewer where that is too many if `adaptive`; a share
    of them, `reserve`, nothing can have that another tier did not serve. `queue` calls may wait,
    each for `queue_wait` seconds at most."""

    retries: int = 2
    retry_share: float = 0.2
    retry_least: float = 1.0
    breaker_failures: int = 5
    breaker_pause: float = 5.0
    concurrency: int = 512
    adaptive: bool = True
    reserve: float = 0.2
    queue: int = 256
    queue_wait: float = 2.0


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """An endpoint. `base_url` is empty, and `simulated` set, when there is no real one; `preset`
    is whose it is, where that is known, `key_header` the header that its key goes in, `parameters`
    what its models do not take beside what the preset says; `warm` connections are opened ahead of
    use; `proxy` is the URL of one, with its credential."""

    name: str
    kind: Literal["openai", "anthropic", "litellm", "simulated"]
    base_url: str = ""
    api_key: str | None = field(default=None, repr=False)
    timeouts: Timeouts = Timeouts()
    simulated: SimulatedSettings | None = None
    preset: str = ""
    key_header: str = BEARER
    parameters: Accepts = EVERYTHING
    resilience: Resilience = Resilience()
    warm: int = 2
    proxy: str | None = field(default=None, repr=False)
    http2: bool = False


@dataclass(frozen=True, slots=True)
class KeySettings:
    """A client's key: the SHA-256 of its UTF-8 bytes, the routes it may use (None: all), and the
    overrides it may send (of tier, threshold, mode)."""

    name: str
    digest: bytes = field(repr=False)
    routes: frozenset[str] | None = None
    allow: frozenset[str] = frozenset()
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """Which price book to open, and the user's own files: the last one wins; `gateway_cost` is what
    the gateway itself is said to cost for a request, in nano-dollars."""

    book: Literal["builtin", "none"] = "builtin"
    files: tuple[Path, ...] = ()
    gateway_cost: int = 0


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Where the record goes, and what of it: into the SQLite file `path`, or the `database` of a
    PostgreSQL server, by the folder `spool` (None: beside the file). `content` says whether prompts
    are kept, and `prompt_retention` for how many seconds; `retention` is for whole requests, None
    for ever; `durability` says what an entry survives. With a `prompt_key` equal prompts have an
    equal hash in it."""

    path: Path = Path("waterfall.db")
    database: DatabaseUrl | None = None
    spool: Path | None = None
    content: Literal["off", "prompts"] = "off"
    prompt_retention: float = 30 * 86_400.0
    retention: float | None = None
    durability: Literal["process"] = "process"
    prompt_key: str | None = field(default=None, repr=False)

    @property
    def shared(self) -> Path:
        """The file where this machine's processes meet: beside the ledger's own, or its spool."""
        near = self.spool or self.path
        return near.with_name(f"{near.name}.shared")

    @property
    def pepper(self) -> Path:
        """The file with what keys are hashed under."""
        near = self.spool or self.path
        return near.with_name(f"{near.name}.pepper")

    @property
    def place(self) -> Path | DatabaseUrl:
        """Where the record goes."""
        return self.database or self.path

    def orders(self) -> dict[str, Any]:
        """Write them as JSON values, password and all: for a process of our own."""
        return {
            **asdict(self),
            "path": str(self.path),
            "database": self.database and self.database.url,
            "spool": self.spool and str(self.spool),
        }

    @classmethod
    def ordered(cls, orders: dict[str, Any]) -> LedgerSettings:
        """Read what `orders` has written."""
        database, spool = orders["database"], orders["spool"]
        own = {
            "path": Path(orders["path"]),
            "database": DatabaseUrl(database) if database else None,
            "spool": Path(spool) if spool else None,
        }
        return cls(**(orders | own))


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """A collector for telemetry. `endpoint` is without the signals' paths, `every` the seconds
    between two exports of metrics, `sample` the share of requests whose spans are sent, unless
    their client says; `propagate` passes the trace context on to upstreams."""

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    metrics: bool = True
    traces: bool = True
    sample: float = 0.1
    every: float = 30.0
    propagate: bool = False


@dataclass(frozen=True, slots=True)
class KeyStoreSettings:
    """Are there keys in the ledger's database? `pepper` is what they are hashed under, where that
    is not in a file beside the ledger."""

    enabled: bool = False
    pepper: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SharedSettings:
    """Where processes meet: `memory://`, which is a file beside the ledger's spool, or a Redis
    server's `url`; `timeout` is for one trip, in seconds."""

    url: str = field(default="memory://", repr=False)
    timeout: float = 0.1


@dataclass(frozen=True, slots=True)
class PassthroughSettings:
    """What is passed through, by group, to which upstream. `max_upload` is in bytes, `timeout` in
    seconds of silence; `prices` are by model name."""

    upstreams: Mapping[str, str] = field(default_factory=dict)
    max_upload: int = 100_000_000
    timeout: float = 600.0
    prices: Mapping[str, Price] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration. Names of routes, tiers and aliases never collide; every alias leads
    to a route or tier. `checks` are those that the user defines. `digest` is a short hash of it
    all without its secrets, `warnings` are sentences for the log, `files` everything whose change
    calls for a reload; so does the UNIX time `prices_until`, when other prices come into force."""

    server: ServerSettings
    upstreams: Mapping[str, UpstreamSettings]
    tiers: Mapping[str, Tier]
    routes: Mapping[str, Route]
    aliases: Mapping[str, str]
    keys: tuple[KeySettings, ...]
    prices: PriceSettings
    ledger: LedgerSettings
    checks: Mapping[str, CheckDefinition] = field(default_factory=dict)
    otlp: OtlpSettings | None = None
    shared: SharedSettings = SharedSettings()
    key_store: KeyStoreSettings = KeyStoreSettings()
    passthrough: PassthroughSettings = PassthroughSettings()
    digest: str = ""
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    prices_until: float | None = None

    @property
    def limits_anything(self) -> bool:
        """Is there a limit or budget anywhere, or may a key of the store have one?"""
        if self.key_store.enabled:
            return True
        kept = [
            *(each.limits for each in self.keys),
            *(each.limits for each in self.routes.values()),
            *(each.limits for each in self.tiers.values()),
        ]
        return any(each is not None for each in kept)

    @property
    def fixed(self) -> dict[str, Any]:
        """What changes only with a restart, by the name of its field."""
        return {
            "server": self.server,
            "ledger": self.ledger,
            "otlp": self.otlp,
            "shared": self.shared,
            "key_store": self.key_store,
        }

    def edited_in_place(self, before: Settings) -> list[str]:
        """Return the labels of recipes that say something else than `before` under the same
        version: headers and ledger could not tell the two apart."""
        old = {each.recipe.label: each.recipe for each in before.tiers.values() if each.recipe}
        new = {each.recipe.label: each.recipe for each in self.tiers.values() if each.recipe}
        return sorted(label for label in old.keys() & new.keys() if old[label] != new[label])
