"""The configuration of LiteLLM's proxy as one of ours, and what of it could not be carried over."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from gateway.config import PriceSettings
from gateway.config.presets import presets
from gateway.core.money import dollars, nano
from gateway.prices import open_book

_PREFIXES = {
    "openai": "openai",
    "azure": "azure",
    "groq": "groq",
    "together_ai": "together",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "openrouter": "openrouter",
    "fireworks_ai": "fireworks",
    "cerebras": "cerebras",
    "xai": "xai",
    "gemini": "gemini",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "hosted_vllm": "vllm",
    "lm_studio": "lmstudio",
}
_OWN_PATH = {"ollama": "/v1", "azure": "/openai/v1"}
"""What comes behind LiteLLM's api_base, which for these is the server's own address."""
_NAME = re.compile(r"[A-Za-z0-9._:/@+-]{1,128}")
_ANSWERING = (None, "chat", "completion", "responses")
_OTHER_KINDS = re.compile(r"(^|[/-])(embed(ding)?s?|whisper|tts|dall-e|rerank|moderation)\b")
_KNOWN = {"model", "api_base", "api_key", "api_version", "input_cost_per_token"}
_COSTS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
}


class CannotCarry(Exception):
    """There is nothing to carry over; the message says why."""


@dataclass
class _Carrying:
    environ: Mapping[str, str]
    upstreams: dict[str, str] = field(default_factory=dict)
    tiers: dict[str, tuple[str, int]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def carried(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return our configuration's text, and a sentence for each thing that is not in it.

    Each model of the list is a tier, which clients ask for by the name they know; the route
    `waterfall` goes from the cheapest to the dearest. Raises CannotCarry.
    """
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CannotCarry(f"it is not YAML: {error}") from error
    models = given.get("model_list") if isinstance(given, dict) else None
    if not isinstance(models, list) or not models:
        raise CannotCarry("it has no model_list: is that the configuration of LiteLLM's proxy?")
    carrying = _Carrying(environ)
    for entry in models:
        _model(carrying, entry)
    if not carrying.tiers:
        raise CannotCarry("none of its models can be carried over: " + "; ".join(carrying.left))
    keys = _master_key(carrying, given.get("general_settings"))
    _settings(carrying, given)
    return _text(carrying, keys), carrying.left


def _model(carrying: _Carrying, entry: Any) -> None:
    name = entry.get("model_name") if isinstance(entry, dict) else None
    params = entry.get("litellm_params") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not isinstance(params, dict) or "model" not in params:
        carrying.left.append("an entry of model_list without model_name or litellm_params.model")
        return
    if not _NAME.fullmatch(name):
        carrying.left.append(f"model {name}: its name is a pattern, or has characters no name has")
        return
    if name in carrying.tiers:
        told = "a second deployment: list both in the tier's `upstream` where that is wanted"
        carrying.left.append(f"model {name} at {params.get('api_base') or params['model']}: {told}")
        return
    info = entry.get("model_info")
    facts = {**(info if isinstance(info, dict) else {}), **params}
    if facts.get("mode", "chat") not in _ANSWERING or _OTHER_KINDS.search(str(params["model"])):
        told = "it answers no chat: see `passthrough` in docs/config.md"
        carrying.left.append(f"model {name} ({facts.get('mode') or params['model']}): {told}")
        return
    upstream, model = _upstream(carrying, name, params)
    if upstream is None:
        return
    price = _price(carrying, name, upstream, model, facts)
    if price is None:
        return
    rest = sorted(params.keys() - _KNOWN - set(_COSTS.values()))
    if rest:
        carrying.left.append(f"{', '.join(rest)} of model {name}: see `docs/config.md` for ours")
    written, rank = price
    line = f'{{upstream: {upstream}, model: "{model}"{written}}}'
    carrying.tiers[name] = (line, rank)


def _upstream(carrying: _Carrying, name: str, params: Mapping[str, Any]) -> tuple[str | None, str]:
    prefix, slash, model = str(params["model"]).partition("/")
    if not slash:
        prefix, model = "openai", prefix
    if prefix == "anthropic":
        return _anthropic(carrying, params), model
    preset = _PREFIXES.get(prefix)
    if preset is None:
        carrying.left.append(
            f"model {name}: provider {prefix} has no preset; a server that speaks OpenAI's chat "
            "completions takes a base_url"
        )
        return None, model
    parts = [f"preset: {preset}"]
    base = params.get("api_base")
    if base is not None:
        url = _value(str(base)).rstrip("/")
        tail = _OWN_PATH.get(preset, "")
        parts.append(f'base_url: "{url if url.endswith(tail) else url + tail}"')
    elif preset == "azure":
        carrying.left.append(f"model {name}: azure without api_base")
        return None, model
    key = params.get("api_key")
    if key is not None:
        parts.append(f'api_key: "{_value(str(key))}"')
    elif presets()[preset].key and not carrying.environ.get(presets()[preset].key):
        parts.append(f'api_key: "${{{presets()[preset].key}:-}}"')
    return _named(carrying, preset, "{" + ", ".join(parts) + "}"), model


def _anthropic(carrying: _Carrying, params: Mapping[str, Any]) -> str:
    key = _value(str(params.get("api_key", "os.environ/ANTHROPIC_API_KEY")))
    return _named(carrying, "anthropic", f'{{kind: anthropic, api_key: "{key}"}}')


def _named(carrying: _Carrying, preset: str, written: str) -> str:
    """Return the name of the upstream that is just that; a new one where there is none yet."""
    for name, other in carrying.upstreams.items():
        if other == written:
            return name
    count = sum(name.partition("-")[0] == preset for name in carrying.upstreams)
    name = f"{preset}-{count + 1}" if count else preset
    carrying.upstreams[name] = written
    return name


def _value(written: str) -> str:
    """Write a reference to the environment in our way."""
    name = written.removeprefix("os.environ/")
    return f"${{{name}}}" if name != written else written


def _price(
    carrying: _Carrying, name: str, upstream: str, model: str, given: Mapping[str, Any]
) -> tuple[str, int] | None:
    """Return how a tier's price is written, and what to order it by; None where none is known."""
    amounts = {ours: given.get(theirs) for ours, theirs in _COSTS.items()}
    told = {ours: each for ours, each in amounts.items() if isinstance(each, int | float)}
    if "input" in told and "output" in told:
        rates = {ours: nano(f"{each * 1e6:.9f}") for ours, each in told.items()}
        inside = ", ".join(f"{ours}: {dollars(rate)}" for ours, rate in rates.items())
        free = not any(rates.values())
        return (", price: free" if free else f", price: {{{inside}}}"), sum(rates.values())
    known = open_book(PriceSettings()).get(model)
    if known is not None:
        return "", known.input + known.output
    if upstream.partition("-")[0] in _LOCAL:
        return ", price: free", 0
    carrying.left.append(
        f"model {name}: no price is known for {model}: give the entry input_cost_per_token and "
        "output_cost_per_token, or add the tier by hand with its price"
    )
    return None


_LOCAL = ("ollama", "vllm", "llamacpp", "lmstudio")


def _master_key(carrying: _Carrying, general: Any) -> str:
    """Return our `keys` for LiteLLM's master key, of which only the hash is kept."""
    given = general.get("master_key") if isinstance(general, dict) else None
    if given is None:
        return ""
    name = str(given).removeprefix("os.environ/")
    key = carrying.environ.get(name) if name != str(given) else str(given)
    if not key:
        carrying.left.append(
            f"general_settings.master_key: {name} is not set here; see `keys` in docs/config.md"
        )
        return ""
    digest = hashlib.sha256(key.encode()).hexdigest()
    allow = "allow: [tier, threshold, mode]"
    return f'keys:\n  - {{name: litellm-master, hash: "sha256:{digest}", {allow}}}\n'


def _settings(carrying: _Carrying, given: Mapping[str, Any]) -> None:
    """Say of every other setting that it is not carried over, and where ours are."""
    hints = {
        "fallbacks": "a waterfall falls through to the next tier by itself",
        "num_retries": "see the upstreams' `retries`",
        "drop_params": "presets and `parameters` say what is dropped, and what never is",
        "database_url": "virtual keys and spend are kept in our own ledger, see `ledger`",
        "callbacks": "metrics are at /metrics, traces go by `telemetry`",
    }
    for section in ("litellm_settings", "router_settings", "general_settings"):
        found = given.get(section)
        for name in found if isinstance(found, dict) else ():
            if name != "master_key":
                hint = hints.get(name, "see docs/config.md for what there is instead")
                carrying.left.append(f"{section}.{name}: {hint}")
    known = {"model_list", "litellm_settings", "router_settings", "general_settings"}
    rest = sorted(str(name) for name in given.keys() - known)
    carrying.left += [f"{name}: see docs/config.md for what there is instead" for name in rest]


def _text(carrying: _Carrying, keys: str) -> str:
    ranked = sorted(carrying.tiers, key=lambda name: carrying.tiers[name][1])
    ladder = ", ".join(f'"{name}"' for name in _ends(ranked))
    lines = [
        "# Carried over from LiteLLM's proxy by waterfall init. Each model is asked by its name as",
        "# before; `waterfall` goes from the cheapest to the dearest. waterfall check shows it.",
        "upstreams:",
        *(f"  {name}: {written}" for name, written in carrying.upstreams.items()),
        "tiers:                                   # cheap to strong",
        *(f'  "{name}": {carrying.tiers[name][0]}' for name in ranked),
        "routes:",
        f"  waterfall: {{tiers: [{ladder}], aliases: [auto]}}",
    ]
    return "\n".join(lines) + "\n" + keys


def _ends(ranked: list[str]) -> list[str]:
    """Return the cheapest and the dearest: two tiers are a waterfall, ten are a staircase."""
    return ranked if len(ranked) < 3 else [ranked[0], ranked[-1]]
