"""Configuration: one strict YAML file to frozen values, and every mistake in it told at once.

text         YAML to plain data with lines; environment expands ${NAME} in it
models       the shape of the file; fields and quantities are the kinds of its values
checking     data against models: what does not fit becomes a problem
draft        a configuration in the making
serving      server, ledger, shared, telemetry
ladder       upstreams, prices, tiers and their recipes
provider     an upstream by its preset; presets are those that are known
resilience_keys  what stands around an upstream
pricing      one price: its bands and tiers of service; price_keys is its shape
policy       routes, aliases, keys
loading      all of it, in order: load() and parse()
settings     what comes out
watch        tells when a file has changed
"""

from __future__ import annotations

from gateway.config.fields import is_loopback
from gateway.config.loading import load, parse, with_digest
from gateway.config.problems import ConfigError, Problem
from gateway.config.recipe_file import load_recipe, parse_recipe
from gateway.config.settings import (
    KeySettings,
    LedgerSettings,
    OtlpSettings,
    PriceSettings,
    Resilience,
    ServerSettings,
    Settings,
    SimulatedSettings,
    Timeouts,
    UpstreamSettings,
)
from gateway.config.watch import Watcher

__all__ = [
    "ConfigError",
    "KeySettings",
    "LedgerSettings",
    "OtlpSettings",
    "PriceSettings",
    "Problem",
    "Resilience",
    "ServerSettings",
    "Settings",
    "SimulatedSettings",
    "Timeouts",
    "UpstreamSettings",
    "Watcher",
    "is_loopback",
    "load",
    "load_recipe",
    "parse",
    "parse_recipe",
    "with_digest",
]
