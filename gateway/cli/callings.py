"""What `waterfall doctor` asks of upstreams: TLS, the clock, and a few tokens of each tier."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from gateway.cli.findings import Finding, fail, ok, warn
from gateway.config import Settings, UpstreamSettings
from gateway.config.fields import is_loopback
from gateway.config.presets import BEARER
from gateway.core.accepts import fit
from gateway.core.chat import Delta
from gateway.core.errors import (
    UpstreamBusy,
    UpstreamError,
    UpstreamRefusedUs,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.core.plan import Tier
from gateway.core.ports import Upstream, UpstreamCall

PATIENCE = 5.0
SKEW = 30.0
"""Seconds by which clocks may differ: what is signed or dated survives that."""
SOON = 14
"""Days before a certificate ends at which that is told."""
TOKENS = 16
"""Of each tier's reply at most: some models refuse to answer in one."""


def callings(settings: Settings) -> Iterator[Finding]:
    """Look at each upstream, then have each tier say a word: that costs a few tokens."""
    for upstream in settings.upstreams.values():
        if upstream.base_url:
            yield from _reached(upstream)
    yield from asyncio.run(_every_tier(settings))


# ------------------------------------------------------------------ upstreams


def _reached(upstream: UpstreamSettings) -> Iterator[Finding]:
    about = f"upstream {upstream.name}"
    parts = urlsplit(upstream.proxy or upstream.base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((host, port), PATIENCE) as sock:
            if parts.scheme == "https" and not upstream.proxy:
                yield _certificate(about, host, sock)
    except socket.gaierror:
        yield fail(about, f"nobody knows the host {host}", _mend(upstream, "the host's name"))
        return
    except OSError as error:
        told = error.strerror or "too slow"
        cure = (
            f"start the server that should listen there, or mend base_url of {upstream.name}"
            if is_loopback(host)
            else "see whether a firewall or proxy stands between, or " + _mend(upstream, "the port")
        )
        yield fail(about, f"no connection to {host}:{port} ({told})", cure)
        return
    yield from _clock(about, upstream)


def _mend(upstream: UpstreamSettings, what: str) -> str:
    key = "proxy" if upstream.proxy else "base_url"
    return f"mend {what} in upstreams.{upstream.name}.{key}"


def _certificate(about: str, host: str, sock: socket.socket) -> Finding:
    try:
        with ssl.create_default_context().wrap_socket(sock, server_hostname=host) as secured:
            told = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        cure = (
            "let the server have a certificate for this name, whole with its chain; one of your "
            "own authority is trusted by SSL_CERT_FILE=/path/to/authority.pem"
        )
        return fail(f"{about}, TLS", f"not to be trusted: {error.verify_message}", cure)
    except (ssl.SSLError, OSError) as error:
        cure = "does it speak TLS at that port? A plain server has http:// in base_url"
        return fail(f"{about}, TLS", f"no TLS there ({type(error).__name__})", cure)
    ends = ssl.cert_time_to_seconds(str(told["notAfter"]))
    days = int((ends - datetime.now(tz=UTC).timestamp()) / 86_400)
    if days < SOON:
        return warn(f"{about}, TLS", f"its certificate ends in {days} days", "renew it in time")
    return ok(f"{about}, TLS", f"its certificate is good for {days} days")


def _clock(about: str, upstream: UpstreamSettings) -> Iterator[Finding]:
    """Compare clocks by the Date of any reply."""
    scheme = "Bearer " if upstream.key_header == BEARER else ""
    sent = {upstream.key_header: f"{scheme}{upstream.api_key}"} if upstream.api_key else {}
    try:
        with httpx.Client(timeout=PATIENCE, trust_env=False, proxy=upstream.proxy) as client:
            reply = client.get(f"{upstream.base_url.rstrip('/')}/models", headers=sent)
        if reply.status_code == 407:  # of a plain request, which the proxy itself answers
            raise httpx.ProxyError("407")
    except httpx.ProxyError as error:
        told = f"the proxy does not let us through ({str(error)[:3]})"
        yield fail(about, told, _mend(upstream, "user and password"))
        return
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        yield fail(about, f"no answer in HTTP ({type(error).__name__})", _mend(upstream, "the URL"))
        return
    try:
        there = parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        yield ok(about, "reached; its clock is not told")
        return
    skew = datetime.now(tz=UTC).timestamp() - there
    if abs(skew) > SKEW:
        way = "ahead of" if skew > 0 else "behind"
        cure = "set this machine's clock: timedatectl set-ntp true (or mend the other one)"
        yield fail(f"{about}, clock", f"ours is {abs(skew):.0f} s {way} its clock", cure)
    else:
        yield ok(about, "reached; the clocks agree")


# ------------------------------------------------------------------ tiers


async def _every_tier(settings: Settings) -> list[Finding]:
    from gateway.upstreams.opening import UpstreamUnusable, open_upstream

    opened: dict[str, Upstream] = {}
    try:
        for name, each in settings.upstreams.items():
            opened[name] = open_upstream(each)
        return [
            await _tier(tier, opened[name], settings.upstreams[name])
            for tier in settings.tiers.values()
            for name in tier.upstreams
        ]
    except UpstreamUnusable as error:
        return [fail("upstream", str(error), "mend what it names in `upstreams`")]
    finally:
        for one in opened.values():
            await one.aclose()


async def _tier(tier: Tier, upstream: Upstream, settings: UpstreamSettings) -> Finding:
    several = len(tier.upstreams) > 1
    about = f"tier {tier.name} at {settings.name}" if several else f"tier {tier.name}"
    got: list[Delta] = []

    async def receive(delta: Delta) -> bool:
        got.append(delta)
        return True

    asked = {"model": tier.model, "messages": [{"role": "user", "content": "Say: ok"}]}
    body, _ = fit({**asked, "max_tokens": TOKENS}, tier.accepts)
    began = time.perf_counter()
    try:
        await upstream.call(UpstreamCall("doctor", tier, body, False, _unmarked), receive)
    except UpstreamError as error:
        return fail(about, f"{tier.model}: {error.message}", _cure(error, tier, settings))
    took = time.perf_counter() - began
    if not any(delta.usage for delta in got):
        cure = "its cost will be estimated: see whether the server can report usage"
        return warn(about, f"{tier.model} answers in {took:.2f} s without its usage", cure)
    return ok(about, f"{tier.model} answers in {took:.2f} s")


def _unmarked(upstream: str = "") -> None:
    """What a look costs is nobody's request: the ledger has no mark of it."""
    del upstream


def _cure(error: UpstreamError, tier: Tier, settings: UpstreamSettings) -> str:
    name = settings.name
    if isinstance(error, UpstreamRefusedUs):
        if "404" in error.message:
            return (
                f"{name} has no model {tier.model}: `waterfall check --online` lists what it has; "
                f"mend tiers.{tier.name}.model"
            )
        return f"the key of {name} is refused: put a valid one into {_key_place(settings)}"
    if isinstance(error, UpstreamBusy):
        return f"the account at {name} is at its limit: raise its quota or wait"
    if isinstance(error, UpstreamTimeout):
        return f"it is slower than upstreams.{name}.timeouts allow: raise them, or find out why"
    if isinstance(error, UpstreamRejected):
        return f"the model takes no such request: say so in upstreams.{name}.parameters"
    return f"see what {name} logs about it; until then requests fall through to other tiers"


def _key_place(settings: UpstreamSettings) -> str:
    from gateway.config.presets import presets

    preset = presets().get(settings.preset)
    own = f"upstreams.{settings.name}.api_key"
    return f"{preset.key} or {own}" if preset and preset.key else own
