"""The shape of a configuration file: every key, its kind and its default. Unknown keys are errors.

A key that the wire describes and this version does not act on is here too, with what to do
instead: nothing is read and then ignored.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, PlainValidator

from gateway.config import fields, mappings, targets
from gateway.config.caps_keys import CapKeys
from gateway.config.connection_keys import ConnectionKeys
from gateway.config.fields import (
    Filled,
    Flag,
    Helpers,
    Memory,
    Name,
    Seconds,
    Secret,
    Share,
    Text,
    Tokens,
    Usd,
    choice,
    only,
    whole,
)
from gateway.config.limit_keys import LimitKeys, ReplyCacheKeys, TierLimitKeys
from gateway.config.price_keys import Priced
from gateway.config.quantities import DAY, kept_for, kept_or_off, seconds, size
from gateway.config.resilience_keys import ResilienceKeys, one_or_several
from gateway.config.stream_keys import EarlyKeys, HedgeKeys, SpeculateKeys, seconds_or_off
from gateway.config.strict import STRICT
from gateway.core.database_url import DatabaseUrl
from gateway.core.routing import Target
from gateway.core.scorer_spec import HELPERS


def _pause(value: object) -> float:
    return seconds(value, least=0)


class Strict(BaseModel):
    """Takes the keys it knows, and no others."""

    model_config = STRICT


class Root(Strict):
    """The sections, each read on its own so that one's fault does not hide another's."""

    upstreams: Any
    tiers: Any
    routes: Any
    server: Any = None
    aliases: Any = None
    keys: Any = None
    checks: Any = None
    passthrough: Any = None
    prices: Any = None
    ledger: Any = None
    shared: Any = None
    key_store: Any = None
    telemetry: Any = None


class Server(Strict):
    """Where the gateway listens, and for how much it waits."""

    host: Filled = "127.0.0.1"
    port: Annotated[int, PlainValidator(whole(0, 65535))] = 8080
    workers: Annotated[int, PlainValidator(whole(1, 64))] = 1
    admin: Annotated[tuple[str, int] | None, PlainValidator(fields.address)] = ("127.0.0.1", 9090)
    admin_key: Secret = None
    max_body: Annotated[int, PlainValidator(size)] = 10_000_000
    max_in_flight: Annotated[int, PlainValidator(whole(1, 1_000_000))] = 1000
    max_in_flight_bytes: Annotated[int, PlainValidator(size)] = 256_000_000
    caps: CapKeys = CapKeys()
    drain: Annotated[float, PlainValidator(_pause)] = 30.0
    read_timeout: Seconds = 30.0
    log: Annotated[str, PlainValidator(choice("json", "human"))] = "json"
    docs: Flag = False


class TimeoutKeys(Strict):
    """How long an upstream may take: to connect, to its first token, between tokens, in all."""

    connect: Seconds = 2.0
    first_token: Seconds = 20.0
    silence: Seconds = 20.0
    total: Seconds = 120.0


class ParameterKeys(Strict):
    """What a server's models do not take, on top of its preset."""

    drop: Annotated[list[str], PlainValidator(mappings.droppable)] = []
    rename: Annotated[dict[str, str], PlainValidator(mappings.renames)] = {}
    refuse: Annotated[list[str], PlainValidator(mappings.demands)] = []


class OpenAIUpstream(ConnectionKeys):
    """A server that speaks OpenAI's chat completions."""

    base_url: Filled | None = None
    kind: str = "openai"
    preset: Name | None = None
    api_key: Secret = None
    timeouts: TimeoutKeys = TimeoutKeys()
    parameters: ParameterKeys = ParameterKeys()


class SimulatedUpstream(ResilienceKeys):
    """A pretended model server: no key, no network, seeded behaviour."""

    kind: str = "simulated"
    timeouts: TimeoutKeys = TimeoutKeys()
    seed: Annotated[int, PlainValidator(whole(0, 2**63 - 1))] = 0
    first_token: Annotated[float, PlainValidator(_pause)] = 0.05
    per_token: Annotated[float, PlainValidator(_pause)] = 0.01
    tokens: Annotated[tuple[int, int], PlainValidator(fields.token_range)] = (20, 120)
    error_rate: Share = 0.0
    stall_rate: Share = 0.0
    answers: Filled | None = None
    accuracy: Annotated[float | dict[str, float], PlainValidator(fields.accuracy)] = 1.0


class BarKeys(Strict):
    """What a tier's reply must reach."""

    accept: Share = 0.7
    min_gain: Share = 0.05
    checks: list[Name] = ["shape", "refusal", "format", "tools"]
    repair: Flag = False
    at_once: Flag = False
    early: EarlyKeys = EarlyKeys()
    confidence: Filled | None = None


class TierKeys(Strict):
    """One rung: a model at an upstream."""

    upstream: Annotated[tuple[str, ...], PlainValidator(one_or_several)]
    model: Filled
    recipe: Filled | None = None
    bar: BarKeys = BarKeys()
    hold: Annotated[tuple[str, int], PlainValidator(fields.hold)] = ("reply", 0)
    price: Priced | None = None
    context: Tokens | None = None
    tools: Flag = True
    images: Flag = True
    prediction: Flag = True
    hedge: HedgeKeys | None = None
    wire: Annotated[str | None, PlainValidator(choice("chat", "responses"))] = None
    limits: TierLimitKeys | None = None


class BaselineKeys(Strict):
    """What every saving is measured against."""

    tier: Name | None = None
    prompt: Annotated[str, PlainValidator(choice("same", "bare"))] = "same"
    reply: Annotated[dict[str, float], PlainValidator(mappings.ratios)] = {}


class SessionKeys(Strict):
    """What is made of a conversation's past."""

    latch: Flag = True
    ttl: Seconds = 600.0
    probe: Share = 0.1
    cache: Annotated[float | None, PlainValidator(fields.seconds_or_off)] = 300.0


class PythonScorerKeys(Strict):
    """A function of the user's own that scores."""

    python: Annotated[str, PlainValidator(fields.function)]
    timeout: Seconds = 0.05
    helpers: Helpers = HELPERS
    memory: Memory = None


class RemoteKeys(Strict):
    """An embeddings endpoint and what reads its vectors."""

    url: Filled
    model: Filled
    artefact: Filled
    api_key: Secret = None
    timeout: Seconds = 0.3
    price: Usd


class RemoteScorerKeys(Strict):
    """A scorer of kind remote."""

    remote: RemoteKeys


class LlmKeys(Strict):
    """A model that is asked within a band of its base's difficulty."""

    tier: Name | None = None
    upstream: Name | None = None
    model: Filled | None = None
    price: Priced | None = None
    band: Annotated[tuple[float, float], PlainValidator(fields.band)] = (0.6, 0.9)
    base: Filled = "default"
    timeout: Seconds = 2.0
    prompt: Filled | None = None


class LlmScorerKeys(Strict):
    """A scorer of kind llm."""

    llm: LlmKeys


class RouteKeys(Strict):
    """A waterfall: its tiers, cheap to strong, and its policy."""

    tiers: list[Name]
    aliases: list[Name] | None = None
    scorer: Annotated[Any, PlainValidator(fields.scorer)] = "default"
    candidate: Annotated[str | None, PlainValidator(fields.candidate)] = None
    threshold: Annotated[tuple[float, ...] | Target | None, PlainValidator(targets.threshold)] = (
        None
    )
    reference: Annotated[str, PlainValidator(choice("own", "artefact"))] = "own"
    baseline: BaselineKeys = BaselineKeys()
    mode: Annotated[tuple[str, float], PlainValidator(fields.mode)] = ("enforce", 1.0)
    shadow: Share = 0.0
    deadline: Seconds = 60.0
    max_cost_usd: Annotated[int | None, PlainValidator(fields.ceiling)] = fields.HALF_A_DOLLAR
    fall_down: Flag = True
    session: SessionKeys = SessionKeys()
    speculate: SpeculateKeys | None = None
    keepalive_after: Annotated[float | None, PlainValidator(seconds_or_off)] = None
    limits: LimitKeys | None = None
    cache: Annotated[ReplyCacheKeys | None, BeforeValidator(fields.unless_off)] = None


class ClientKey(Strict):
    """A key that clients may come with, known by its hash alone."""

    name: Name
    hash: Annotated[bytes, PlainValidator(fields.digest)]
    routes: list[Name] | None = None
    allow: list[Annotated[str, PlainValidator(choice("tier", "threshold", "mode"))]] = []
    limits: LimitKeys | None = None


class PriceBookKeys(Strict):
    """Where prices come from."""

    book: Annotated[str, PlainValidator(choice("builtin", "none"))] = "builtin"
    file: Annotated[list[str], PlainValidator(fields.one_or_more)] = []
    gateway_cost: Usd = 0


class LedgerKeys(Strict):
    """Where the record goes."""

    url: Annotated[str | DatabaseUrl, PlainValidator(fields.ledger_url)] = "waterfall.db"
    spool: Filled | None = None
    content: Annotated[str, PlainValidator(choice("off", "prompts"))] = "off"
    prompt_retention: Annotated[float, PlainValidator(kept_for)] = 30 * DAY
    durability: Annotated[str, only("process", "entries survive the process, not the machine.")] = (
        "process"
    )
    retention: Annotated[float | None, PlainValidator(kept_or_off)] = None
    prompt_key: Secret = None


class OtlpKeys(Strict):
    """A collector that speaks OTLP over HTTP."""

    endpoint: Filled
    headers: Annotated[dict[str, str], PlainValidator(mappings.headers)] = {}
    metrics: Flag = True
    traces: Flag = True
    sample: Share = 0.1
    every: Seconds = 30.0
    propagate: Flag = False


class TelemetryKeys(Strict):
    """Where telemetry goes, beside what is scraped."""

    otlp: Annotated[OtlpKeys | None, BeforeValidator(fields.unless_off)] = None


class Example(Strict):
    """One question and its answer, shown to the model."""

    user: Text
    assistant: Text


class RecipeKeys(Strict):
    """A recipe file."""

    version: Annotated[int, PlainValidator(whole(1, 1_000_000))]
    before: Text = ""
    after: Text = ""
    output: Text = ""
    examples: list[Example] = []
    not_sure: Flag = False
    handover: Text = ""
    params: Annotated[dict[str, Any], PlainValidator(fields.mapping)] = {}
