"""The documentation of the configuration cannot lie: its examples load, its keys are the keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from gateway.config import (
    ConfigError,
    check_models,
    limit_keys,
    load,
    models,
    parse,
    parse_recipe,
    resilience_keys,
)
from gateway.config.checking import known_keys
from gateway.config.passing import PassthroughKeys
from gateway.config.price_keys import HostedKeys, PriceKeys
from gateway.config.text import read
from gateway.config.upstream_keys import AnthropicUpstream, LitellmUpstream
from gateway.prices import open_book, read_book

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
TUNING = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE + TUNING, re.MULTILINE | re.DOTALL)
CELL = re.compile(r"(?<!\\)\|")
ENVIRON = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2"}

BASE = """\
upstreams:
  openai: {base_url: https://api.openai.com/v1}
tiers:
  small: {upstream: openai, model: gpt-5-nano}
  tuned: {upstream: openai, model: gpt-5-mini}
  large: {upstream: openai, model: gpt-5}
routes:
  waterfall: {tiers: [small, large]}
"""


def whole(block):
    """Complete a block: its sections replace or extend the base's."""
    given = read(block, "block", ENVIRON).data
    if "tiers" in given or "upstreams" not in given:
        own = re.split(r"^(?=\S)", BASE, flags=re.MULTILINE)
        return block + "".join(part for part in own if part.partition(":")[0] not in given)
    inner = block.partition("\n")[2]
    return BASE.replace("upstreams:\n", f"upstreams:\n{inner}", 1)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_example_loads(block, tmp_path, monkeypatch):
    (tmp_path / "shelf" / "v2").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    first = block.partition(":")[0]
    if first == "version":
        if "models:" in block:
            assert read_book(block, "prices.yaml")
        else:
            assert parse_recipe(block, "r.yaml", "r").version == 3
        return
    assert parse(whole(block), "waterfall.yaml", ENVIRON, open_book).routes


def test_there_are_examples():
    assert len(BLOCKS) >= 7


def rows():
    """Yield (section, key, default) for each row of each table; a section may be `tiers.bar`."""
    section = table = ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip("`").lower()
        cells = [cell.strip() for cell in CELL.split(line)[1:-1]]
        if cells and cells[0].startswith("key"):
            inner = cells[0].removeprefix("key").removeprefix(" of ").strip("`")
            table = f"{section}.{inner}".strip(".")
        elif len(cells) == 4 and cells[0].startswith("`"):
            yield table, cells[0].strip("`"), cells[2]


TABLES = {
    "server": [models.Server],
    "server.caps": [models.CapKeys],
    "upstreams": [models.OpenAIUpstream, models.SimulatedUpstream],
    "upstreams.anthropic": [AnthropicUpstream],
    "upstreams.litellm": [LitellmUpstream],
    "upstreams.timeouts": [models.TimeoutKeys],
    "upstreams.retries": [resilience_keys.RetryKeys],
    "upstreams.breaker": [resilience_keys.BreakerKeys],
    "upstreams.queue": [resilience_keys.QueueKeys],
    "upstreams.parameters": [models.ParameterKeys],
    "tiers": [models.TierKeys],
    "tiers.bar": [models.BarKeys],
    "tiers.early": [models.EarlyKeys],
    "tiers.hedge": [models.HedgeKeys],
    "tiers.price": [PriceKeys],
    "tiers.hosted": [HostedKeys],
    "routes.baseline": [models.BaselineKeys],
    **{f"checks.{kind}": [keys] for kind, keys in check_models.KINDS.items()},
    "routes": [models.RouteKeys],
    "routes.session": [models.SessionKeys],
    "routes.cache": [limit_keys.ReplyCacheKeys],
    "routes.speculate": [models.SpeculateKeys],
    "routes.python": [models.PythonScorerKeys],
    "routes.remote": [models.RemoteKeys],
    "routes.llm": [models.LlmKeys],
    "passthrough": [PassthroughKeys],
    "keys": [models.ClientKey],
    "keys.limits": [limit_keys.LimitKeys],
    "shared": [limit_keys.SharedKeys],
    "key_store": [limit_keys.KeyStoreKeys],
    "prices": [models.PriceBookKeys],
    "ledger": [models.LedgerKeys],
    "telemetry.otlp": [models.OtlpKeys],
    "recipes": [models.RecipeKeys],
}


def test_every_table_is_known():
    assert {table for table, *_ in rows()} == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_the_tables_have_every_key_and_no_other(table):
    keys = {key for model in TABLES[table] for key in known_keys(model)}
    assert {key for where, key, _ in rows() if where == table} == keys


@pytest.mark.parametrize("table", TABLES)
def test_required_is_what_the_tables_call_required(table):
    fields = [item for model in TABLES[table] for item in model.model_fields.items()]
    required = {key for key, field in fields if field.default is PydanticUndefined}
    assert {key for where, key, to in rows() if where == table and to == "required"} == required


LIMITS = "{rpm: 1, budget_usd: {day: 1}, %s}"
# Where a line of each table goes in a file; %s is the line, or nothing.
PLACES = {
    "server": BASE + "server: {%s}\n",
    "server.caps": BASE + "server: {caps: {%s}}\n",
    "prices": BASE + "prices: {%s}\n",
    "telemetry.otlp": BASE + 'telemetry: {otlp: {endpoint: "http://127.0.0.1", %s}}\n',
    "ledger": BASE + "ledger: {%s}\n",
    "shared": BASE + "shared: {%s}\n",
    "key_store": BASE + "key_store: {%s}\n",
    "keys.limits": BASE + f"keys: [{{name: a, hash: 'sha256:{'0' * 64}', limits: {LIMITS}}}]\n",
    "passthrough": BASE + "passthrough: {files: openai, %s}\n",
    "upstreams": BASE.replace("/v1", "/v1, %s"),
    "upstreams.anthropic": BASE.replace(
        "base_url: https://api.openai.com/v1", "kind: anthropic, %s"
    ),
    "upstreams.litellm": BASE.replace("base_url: https://api.openai.com/v1", "kind: litellm, %s"),
    "upstreams.timeouts": BASE.replace("/v1", "/v1, timeouts: {%s}"),
    "upstreams.retries": BASE.replace("/v1", "/v1, retries: {%s}"),
    "upstreams.breaker": BASE.replace("/v1", "/v1, breaker: {%s}"),
    "upstreams.queue": BASE.replace("/v1", "/v1, queue: {%s}"),
    "upstreams.parameters": BASE.replace("/v1", "/v1, parameters: {%s}"),
    "tiers": BASE.replace("gpt-5-nano", "gpt-5-nano, %s"),
    "tiers.bar": BASE.replace("gpt-5-nano", "gpt-5-nano, bar: {%s}"),
    "checks.agreement": BASE + "checks: {mine: {kind: agreement, %s}}\n",
    "checks.judge": BASE + "checks: {mine: {kind: judge, tier: large, %s}}\n",
    "checks.python": BASE + 'checks: {mine: {kind: python, call: "a:b", %s}}\n',
    "checks.command": BASE + "checks: {mine: {kind: command, run: [cat], %s}}\n",
    "tiers.hedge": BASE.replace("gpt-5-nano", "gpt-5-nano, hedge: {%s}"),
    "routes.speculate": BASE.replace("large]", "large], speculate: {%s}"),
    "tiers.early": BASE.replace("gpt-5-nano", "gpt-5-nano, bar: {early: {%s}}"),
    "tiers.price": BASE.replace("gpt-5-nano", "gpt-5-nano, price: {input: 1, output: 1, %s}"),
    "routes.baseline": BASE.replace("large]", "large], baseline: {%s}"),
    "routes": BASE.replace("[small, large]", "[small, large], %s"),
    "routes.cache": BASE.replace("large]", "large], cache: {%s}"),
    "routes.session": BASE.replace("[small, large]", "[small, large], session: {%s}"),
    "routes.python": BASE.replace("large]", "large], scorer: {python: a.b, %s}"),
    "routes.remote": BASE.replace(
        "large]",
        'large], scorer: {remote: {url: "http://127.0.0.1/e", model: m, artefact: ., price: 1, '
        "%s}}",
    ),
    "routes.llm": BASE.replace("large]", "large], scorer: {llm: {tier: small, %s}}"),
}
SIMULATED = BASE.replace("base_url: https://api.openai.com/v1", "kind: simulated, %s")
DEFAULTS = [
    (table, key, default.strip("`"))
    for table, key, default in rows()
    if re.fullmatch(r"`[^`]+`", default) and table != "recipes" and key != "accuracy"
]


@pytest.mark.parametrize(("table", "key", "default"), DEFAULTS)
def test_a_default_said_aloud_changes_nothing(table, key, default):
    value = f'"{default}"' if "//" in default else default
    place = PLACES[table]
    if table == "upstreams":
        place = place if key in models.OpenAIUpstream.model_fields else SIMULATED
    said, unsaid = (parse(place % line, "w.yaml", {}, open_book)
                    for line in (f"{key}: {value}", ""))  # fmt: skip
    assert said == unsaid


def test_there_are_many_defaults():
    assert len(DEFAULTS) >= 35


# ------------------------------------------------------------------ the example files


def test_the_ten_lines():
    path = ROOT / "waterfall.example.yaml"
    assert len(path.read_text(encoding="utf-8").splitlines()) == 10
    settings = load(path, ENVIRON, open_book)
    assert settings.aliases["gpt-4o"] == "waterfall"
    assert settings.warnings == ()


def test_one_of_everything():
    path = ROOT / "deploy" / "waterfall.everything.yaml"
    settings = load(path, ENVIRON, open_book)
    assert settings.warnings == ()
    assert settings.tiers["small"].recipe.label == "small@1"
    assert settings.tiers["acme"].price.version == "acme contract 2026-11-01"
    data = read(path.read_bytes(), path.name, ENVIRON).data
    assert set(data) == set(models.Root.model_fields)
    for section in ("server", "keys", "passthrough", "prices", "ledger", "shared"):
        entry = data[section][0] if section == "keys" else data[section]
        assert set(entry) == set(known_keys(TABLES[section][0])), section
    assert set(data["keys"][0]["limits"]) == set(known_keys(limit_keys.LimitKeys))
    for name in ("second", "grader", "tests"):
        keys = check_models.KINDS[data["checks"][name]["kind"]]
        assert set(data["checks"][name]) == set(known_keys(keys)), name
    unwritten = {"confidence"}  # the path of what tune has made, which must be there
    assert set(data["tiers"]["small"]["bar"]) | unwritten == set(known_keys(models.BarKeys))
    assert set(data["tiers"]["small"]) == set(known_keys(models.TierKeys))
    assert set(data["routes"]["waterfall"]) == set(known_keys(models.RouteKeys))
    assert set(data["telemetry"]["otlp"]) == set(known_keys(models.OtlpKeys))
    assert set(data["upstreams"]["openai"]) == set(known_keys(models.OpenAIUpstream))


def test_its_defaults_are_the_defaults():
    """Where the file says that a value is the default, leaving it out gives the same."""
    path = ROOT / "deploy" / "waterfall.everything.yaml"
    settings = load(path, ENVIRON, open_book)
    plain = parse(BASE, "w.yaml", {}, open_book)
    assert settings.server == plain.server
    route, other = settings.routes["waterfall"], plain.routes["waterfall"]
    same = (
        "aliases",
        "scorer",
        "thresholds",
        "reference",
        "baseline",
        "mode",
        "deadline",
        "ceiling",
        "latch",
        "probe",
        "cache",
    )
    assert [getattr(route, key) for key in same] == [getattr(other, key) for key in same]
    assert settings.upstreams["openai"].timeouts == plain.upstreams["openai"].timeouts


def test_what_is_called_unsupported_is_refused_as_such():
    told = PAGE.partition("## Not supported by this version")[2]
    words = ["durability"]
    assert [word for word in words if f"`{word}`" not in told and word not in told] == []
    with pytest.raises(ConfigError, match="not supported by this version"):
        parse(f"{BASE}ledger: {{durability: strict}}\n", "w.yaml", {}, open_book)
