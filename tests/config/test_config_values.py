"""Each documented option changes the value it should, and each default is as documented."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from gateway.config import SimulatedSettings, Timeouts
from gateway.core.cascade import Hold
from gateway.core.money import Price
from gateway.core.verdict import Bar, CheckSpec, Early

DEFAULT_CHECKS = tuple(CheckSpec(name) for name in ("shape", "refusal", "format", "tools"))
EARLY = Early(repetition=True, format=True)

HASH = hashlib.sha256(b"a client's key").hexdigest()


def with_tier(small, more):
    return small.replace("model: tiny", f"model: tiny, {more}")


def with_route(small, more):
    return small.replace("[small, large]", f"[small, large], {more}")


def test_the_smallest_file_of_the_wire(read):
    text = """
upstreams:
  openai: {kind: openai, base_url: https://api.openai.com/v1, api_key: ${OPENAI_API_KEY}}
tiers:                                   # cheap to strong
  small: {upstream: openai, model: tiny}
  large: {upstream: openai, model: huge}
routes:
  waterfall: {tiers: [small, large]}
"""
    settings = read(text, {"OPENAI_API_KEY": "sk-1"})
    upstream = settings.upstreams["openai"]
    assert (upstream.kind, upstream.base_url) == ("openai", "https://api.openai.com/v1")
    assert (upstream.api_key, upstream.timeouts) == ("sk-1", Timeouts(2.0, 20.0, 20.0, 120.0))
    assert settings.warnings == ()


def test_defaults(read, small, tmp_path):
    settings = read(small)
    server = settings.server
    assert (server.host, server.port, server.admin) == ("127.0.0.1", 8080, ("127.0.0.1", 9090))
    assert (server.max_body, server.drain, server.log) == (10_000_000, 30.0, "json")
    assert server.admin_key is None
    tier = settings.tiers["small"]
    assert tier.bar == Bar(0.7, 0.05, DEFAULT_CHECKS, early=EARLY)
    assert (tier.hold, tier.context, tier.recipe) == (Hold("reply"), None, None)
    assert (tier.takes_tools, tier.takes_images) == (True, True)
    route = settings.routes["waterfall"]
    assert route.tiers == (settings.tiers["small"], settings.tiers["large"])
    assert (route.scorer, route.thresholds, route.baseline) == ("default", (0.8,), "large")
    assert (route.mode, route.enforce_share, route.fall_down) == ("enforce", 1.0, True)
    assert (route.deadline, route.ceiling, route.latch) == (60.0, 500_000_000, 600.0)
    assert settings.aliases == {"auto": "waterfall"}
    assert settings.keys == ()
    assert (settings.prices.book, settings.prices.files) == ("builtin", ())
    assert settings.ledger.path == tmp_path / "waterfall.db"
    assert settings.ledger.durability == "process"


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("host: 127.0.0.9", "host", "127.0.0.9"),
        ("port: 0", "port", 0),
        ("admin: off", "admin", None),
        ("admin: '[::1]:99'", "admin", ("::1", 99)),
        ("admin_key: secret-1", "admin_key", "secret-1"),
        ("admin_key: ''", "admin_key", None),
        ("max_body: 64KiB", "max_body", 65536),
        ("max_body: 1.5MB", "max_body", 1_500_000),
        ("max_body: 1234", "max_body", 1234),
        ("drain: 0s", "drain", 0.0),
        ("drain: 2.5", "drain", 2.5),
        ("drain: 5m", "drain", 300.0),
        ("log: human", "log", "human"),
        ("workers: 64", "workers", 64),
    ],
)
def test_server(read, small, line, field, value):
    settings = read(f"{small}server: {{{line}}}\n")
    assert getattr(settings.server, field) == value


def test_the_admin_key_comes_from_the_environment_unless_given(read, small):
    environ = {"WATERFALL_ADMIN_KEY": "from-outside"}
    assert read(small, environ).server.admin_key == "from-outside"
    assert read(f"{small}server: {{admin_key: ''}}\n", environ).server.admin_key is None
    open_to_all = f"{small}server: {{admin: '0.0.0.0:9090'}}\n"
    assert read(open_to_all, environ).server.admin == ("0.0.0.0", 9090)


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [
        ("bar: {accept: 90%}", "bar", Bar(0.9, 0.05, DEFAULT_CHECKS, early=EARLY)),
        ("bar: {min_gain: 0.125}", "bar", Bar(0.7, 0.125, DEFAULT_CHECKS, early=EARLY)),
        ("bar: {checks: [logprob]}", "bar", Bar(0.7, 0.05, (CheckSpec("logprob"),), early=EARLY)),
        ("bar: {checks: []}", "bar", Bar(0.7, 0.05, (), early=EARLY)),
        *(
            (
                f"bar: {{early: {{{line}}}}}",
                "bar",
                Bar(0.7, 0.05, DEFAULT_CHECKS, early=replace(EARLY, **{field: value})),
            )
            for line, field, value in (
                ("logprob: 0.2", "logprob", 0.2),
                ("logprob: off", "logprob", None),
                ("refusal: true", "refusal", True),
                ("repetition: false", "repetition", False),
                ("format: false", "format", False),
            )
        ),
        ("hold: {tokens: 48}", "hold", Hold("tokens", 48)),
        ("hold: sentence", "hold", Hold("sentence")),
        ("hold: none", "hold", Hold("none")),
        ("context: 400k", "context", 400_000),
        ("context: 1M", "context", 1_000_000),
        ("tools: false", "takes_tools", False),
        ("images: false", "takes_images", False),
        (
            "price: {input: 0.25, cached_input: 0.025, cache_write: 0.3, output: 2, request: 0.01}",
            "price",
            Price(
                input=250_000_000,
                cached_input=25_000_000,
                cache_write=300_000_000,
                output=2_000_000_000,
                request=10_000_000,
            ).sealed("config"),
        ),
    ],
)
def test_tiers(read, small, more, field, value):
    settings = read(with_tier(small, more))
    assert getattr(settings.tiers["small"], field) == value
    assert settings.routes["waterfall"].tiers[0] is settings.tiers["small"]


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [
        ("aliases: [cheap, quick]", "aliases", ("cheap", "quick")),
        ("aliases: []", "aliases", ()),
        ("scorer: rules", "scorer", "rules"),
        ("threshold: 0.25", "thresholds", (0.25,)),
        ("threshold: [30%]", "thresholds", (0.3,)),
        ("threshold: 1", "thresholds", (1.0,)),
        ("baseline: {tier: small, prompt: same}", "baseline", "small"),
        ("mode: observe", "mode", "observe"),
        ("mode: {enforce: 10%}", "enforce_share", 0.1),
        ("deadline: 1500ms", "deadline", 1.5),
        ("max_cost_usd: 0.02", "ceiling", 20_000_000),
        ("max_cost_usd: off", "ceiling", None),
        ("fall_down: false", "fall_down", False),
        ("session: {ttl: 1h}", "latch", 3600.0),
        ("session: {latch: false}", "latch", None),
        ("session: {probe: 5%}", "probe", 0.05),
        ("session: {cache: 1h}", "cache", 3600.0),
        ("session: {cache: off}", "cache", None),
    ],
)
def test_routes(read, small, more, field, value):
    assert getattr(read(with_route(small, more)).routes["waterfall"], field) == value


def test_one_tier_has_no_threshold_and_three_have_two(read, small):
    assert read(small.replace("[small, large]", "[large]")).routes["waterfall"].thresholds == ()
    three = small.replace("routes:", "  more: {upstream: acme, model: huge}\nroutes:")
    three = three.replace("[small, large]", "[small, large, more], threshold: [0.7, 0.95]")
    assert read(three).routes["waterfall"].thresholds == (0.7, 0.95)


def test_upstreams(read, small):
    timeouts = "timeouts: {connect: 1s, first_token: 2s, silence: 3s, total: 4s}"
    text = small.replace("/v1", "/v1/").replace('v1/"', f'v1/", api_key: k, {timeouts}')
    upstream = read(text).upstreams["acme"]
    assert upstream.timeouts == Timeouts(1.0, 2.0, 3.0, 4.0)
    assert (upstream.api_key, upstream.base_url) == ("k", "https://llm.example.com/v1")


def test_a_simulated_upstream(read, small, tmp_path):
    (tmp_path / "answers.json").write_text("{}")
    own = (
        "kind: simulated, seed: 7, first_token: 0, per_token: 5ms, tokens: [2, 9], "
        "error_rate: 1%, stall_rate: 0.5, answers: answers.json, accuracy: {tiny: 60%}"
    )
    settings = read(small.replace('base_url: "https://llm.example.com/v1"', own))
    upstream = settings.upstreams["acme"]
    path = tmp_path / "answers.json"
    assert upstream.simulated == SimulatedSettings(
        7, 0.0, 0.005, (2, 9), 0.01, 0.5, path, {"tiny": 0.6}
    )
    assert (upstream.kind, upstream.base_url) == ("simulated", "")
    assert path in settings.files


def test_aliases_and_keys(read, small):
    text = (
        f"{small}aliases: {{gpt-4o: waterfall, mini: small}}\n"
        f"keys: [{{name: app, hash: 'sha256:{HASH.upper()}', routes: [waterfall], allow: [tier]}},"
        f" {{name: other, hash: 'sha256:{HASH[::-1]}'}}]\n"
    )
    settings = read(text)
    assert settings.aliases == {"auto": "waterfall", "gpt-4o": "waterfall", "mini": "small"}
    app, other = settings.keys
    assert app.digest == hashlib.sha256(b"a client's key").digest()
    assert (app.routes, app.allow) == (frozenset({"waterfall"}), frozenset({"tier"}))
    assert (other.name, other.routes, other.allow) == ("other", None, frozenset())


def test_auto_goes_to_whoever_asks_for_it(read, small):
    assert read(f"{small}aliases: {{auto: large}}\n").aliases == {"auto": "large"}
    two = f"{small}  second: {{tiers: [large], aliases: [auto]}}\n"
    assert read(two).aliases == {"auto": "second"}


def test_what_asks_for_what_this_version_does_anyway(read, small):
    more = (
        "ledger: {content: off, durability: process}\nshared: {url: memory://}\n"
        "telemetry: {otlp: off}\n"
    )
    assert read(small + more) == read(small)


def test_a_collector_and_what_is_warned_of(read, small):
    text = (
        "telemetry: {otlp: {endpoint: 'http://otel.example.com/', sample: 1%, every: 1m,"
        " traces: true, metrics: off, headers: {authorization: 'Bearer ${T}', x-team: blue}}}\n"
    )
    settings = read(small + text.replace("off", "false"), {"T": "hush-hush"})
    otlp = settings.otlp
    assert (otlp.endpoint, otlp.sample, otlp.every) == ("http://otel.example.com", 0.01, 60)
    assert (otlp.metrics, otlp.traces, otlp.propagate) == (False, True, False)
    assert otlp.headers == {"authorization": "Bearer hush-hush", "x-team": "blue"}
    assert "hush-hush" not in repr(settings)
    assert [each for each in settings.warnings if "the headers can be read" in each]


def test_the_digest_follows_what_is_in_force_and_knows_no_secret(read, small, tmp_path):
    plain = read(small).digest
    assert read(small + "server: {port: 8080}  # the default\n").digest == plain
    assert read(small, {"WATERFALL_ADMIN_KEY": "s"}).digest == plain
    assert read(with_route(small, "threshold: 0.7")).digest != plain
    recipe = tmp_path / "r.yaml"
    recipe.write_text("version: 1\nbefore: Be terse.\n")
    first = read(with_tier(small, "recipe: r.yaml")).digest
    recipe.write_text("version: 1\nbefore: Be very terse.\n")
    assert len({plain, first, read(with_tier(small, "recipe: r.yaml")).digest}) == 3


def test_a_whole_settings_shows_no_secret_when_printed(read, small):
    text = small.replace('v1"', 'v1", api_key: "${KEY}"')
    text += f"keys: [{{name: app, hash: 'sha256:{HASH}'}}]\n"
    settings = read(text, {"KEY": "canary-1", "WATERFALL_ADMIN_KEY": "canary-2"})
    assert settings.upstreams["acme"].api_key == "canary-1"
    assert "canary" not in repr(settings)
    assert repr(bytes.fromhex(HASH)) not in repr(settings)
