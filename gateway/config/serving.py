"""The sections about the gateway itself: server, ledger, and what is not supported yet."""

from __future__ import annotations

from gateway.config.checking import at, section
from gateway.config.draft import Draft
from gateway.config.fields import base_url, is_loopback
from gateway.config.limit_keys import KeyStoreKeys
from gateway.config.limiting import has_password
from gateway.config.models import LedgerKeys, Server, TelemetryKeys
from gateway.config.settings import (
    KeyStoreSettings,
    LedgerSettings,
    OtlpSettings,
    ServerSettings,
)
from gateway.core.database_url import DatabaseUrl

ADMIN_KEY_VARIABLE = "WATERFALL_ADMIN_KEY"
PEPPER_VARIABLE = "WATERFALL_KEY_PEPPER"
SHORTEST_PEPPER = 16
_ANY = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - told apart, not listened at


def server(draft: Draft) -> ServerSettings | None:
    """Read `server`; without an admin key the admin listener stays on this machine."""
    keys = section(draft.document, Server, "server")
    if keys is None:
        return None
    given = "admin_key" in keys.model_fields_set
    admin_key = keys.admin_key if given else draft.environ.get(ADMIN_KEY_VARIABLE) or None
    if keys.admin is not None and admin_key is None and not is_loopback(keys.admin[0]):
        draft.complain(
            ("server", "admin"),
            f"off this machine the admin listener needs server.admin_key (or {ADMIN_KEY_VARIABLE} "
            "in the environment); or listen on 127.0.0.1, or say off",
        )
    if keys.admin is not None and _is_same_place(keys.admin, (keys.host, keys.port)):
        draft.complain(
            ("server", "admin"),
            f"port {keys.port} is server.port's already; choose another, such as {keys.port + 1}, "
            "or say off",
        )
    return ServerSettings(
        host=keys.host,
        port=keys.port,
        workers=keys.workers,
        admin=keys.admin,
        admin_key=admin_key,
        max_body=keys.max_body,
        max_in_flight=keys.max_in_flight,
        max_in_flight_bytes=keys.max_in_flight_bytes,
        caps=keys.caps.settings(),
        drain=keys.drain,
        read_timeout=keys.read_timeout,
        log="human" if keys.log == "human" else "json",
        docs=keys.docs,
    )


def _is_same_place(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Would two listeners want one port of one address? 0 is whichever is free."""
    if one[1] != other[1] or one[1] == 0:
        return False
    hosts = {one[0], other[0]}
    return len(hosts) == 1 or bool(hosts & _ANY) or all(is_loopback(host) for host in hosts)


def ledger(draft: Draft) -> LedgerSettings | None:
    """Read `ledger`."""
    keys = section(draft.document, LedgerKeys, "ledger")
    if keys is None:
        return None
    database = keys.url if isinstance(keys.url, DatabaseUrl) else None
    file = keys.url if isinstance(keys.url, str) else "waterfall.db"
    path = draft.path(("ledger", "url"), file)
    spool = keys.spool or ("waterfall.spool" if database else None)
    folder = draft.path(("ledger", "spool"), spool) if spool else None
    if path is None or (spool and folder is None):
        return None
    return LedgerSettings(
        path=path,
        database=database,
        spool=folder,
        retention=keys.retention,
        content="prompts" if keys.content == "prompts" else "off",
        prompt_retention=keys.prompt_retention,
        prompt_key=keys.prompt_key,
    )


def key_store(draft: Draft) -> KeyStoreSettings:
    """Read `key_store`."""
    keys = section(draft.document, KeyStoreKeys, "key_store")
    if keys is None:
        return KeyStoreSettings()
    if keys.pepper is not None and not keys.enabled:
        draft.complain(("key_store", "pepper"), "means nothing without enabled: true")
    pepper = keys.pepper or draft.environ.get(PEPPER_VARIABLE) or None
    if pepper is not None and len(pepper) < SHORTEST_PEPPER:
        draft.complain(("key_store", "pepper"), f"must have at least {SHORTEST_PEPPER} characters")
    return KeyStoreSettings(keys.enabled, pepper if keys.enabled else None)


def telemetry(draft: Draft) -> OtlpSettings | None:
    """Read `telemetry`; None where nothing is exported."""
    section_keys = section(draft.document, TelemetryKeys, "telemetry")
    keys = section_keys.otlp if section_keys else None
    if keys is None:
        return None
    trail = ("telemetry", "otlp", "endpoint")
    parts = base_url(keys.endpoint)
    if parts is None:
        draft.complain(trail, "must be an http:// or https:// URL with a host", keys.endpoint)
    elif parts.username or parts.password or parts.query or parts.fragment:
        draft.complain(trail, "must have no user, password, query or fragment: see headers")
    elif parts.scheme == "http" and keys.headers and not is_loopback(parts.hostname or ""):
        draft.warn(trail, "http:// to another machine: the headers can be read")
    if not (keys.metrics or keys.traces):
        draft.complain(("telemetry", "otlp"), "sends neither metrics nor traces: say off")
    return OtlpSettings(
        endpoint=keys.endpoint.rstrip("/"),
        headers=keys.headers,
        metrics=keys.metrics,
        traces=keys.traces,
        sample=keys.sample,
        every=keys.every,
        propagate=keys.propagate,
    )


def warn_of_open_file(draft: Draft) -> None:
    """Warn of every key that stands in a file which everyone on the machine may read."""
    for trail in _secrets(draft):
        if trail not in draft.document.hidden:
            draft.warn(
                trail,
                "everyone on this machine can read this key: chmod 600 the file, "
                "or refer to the environment with ${NAME}",
            )


def _secrets(draft: Draft) -> list[tuple[str, ...]]:
    upstreams = [("upstreams", name, "api_key") for name in draft.names("upstreams")]
    scorers = [("routes", name, "scorer", "remote", "api_key") for name in draft.names("routes")]
    headers = ("telemetry", "otlp", "headers")
    given = at(draft.document, headers)
    otlp = [(*headers, name) for name in given] if isinstance(given, dict) else []
    places: list[tuple[str, ...]] = [
        ("server", "admin_key"),
        ("key_store", "pepper"),
        *(*otlp, *upstreams, *scorers),
    ]
    found = [trail for trail in places if at(draft.document, trail)]
    if _has_password(at(draft.document, ("ledger", "url"))):
        found.append(("ledger", "url"))
    return [*found, ("shared", "url")] if has_password(draft) else found


def _has_password(url: object) -> bool:
    try:
        return isinstance(url, str) and DatabaseUrl(url).has_secret
    except ValueError:
        return False
