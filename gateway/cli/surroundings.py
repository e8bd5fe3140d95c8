"""What `waterfall doctor` looks at on this machine: ports, disk, ledger, prices, scorers."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from gateway.cli.findings import Finding, fail, ok, warn
from gateway.config import Settings
from gateway.core.money import dollars
from gateway.core.routing import Route

ENOUGH_FILES = 4096
"""Descriptors: two for each request under way, and some."""
OLD_PRICES = 180
"""Days after which a price should be looked up again."""


def surroundings(settings: Settings, need_free: int) -> Iterator[Finding]:
    """Look at everything that takes no network; `need_free` is in bytes."""
    yield from _ports(settings)
    yield _disk(settings, need_free)
    yield _ledger(settings)
    yield from _prices(settings)
    yield _scorers(settings)
    yield _files()


def _ports(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    places = [("server.port", (server.host, server.port)), ("server.admin", server.admin)]
    for name, place in places:
        if place is None or place[1] == 0:
            continue
        told = f"{place[0]}:{place[1]}"
        family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        with closing(socket.socket(family, socket.SOCK_STREAM)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(place)
            except OSError as error:
                yield _unbound(name, told, error)
                continue
        yield ok(name, f"{told} is free")


def _unbound(name: str, told: str, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        cure = f"stop what listens there (a gateway of yours?), or give {name} another port"
        return fail(name, f"{told} is taken", cure)
    cure = f"give {name} an address of this machine and a port that you may use"
    return fail(name, f"cannot listen on {told}: {error.strerror}", cure)


def _disk(settings: Settings, need_free: int) -> Finding:
    folder = settings.ledger.spool or settings.ledger.path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    told = f"{free / 1e9:.1f} GB free for the ledger in {folder}"
    if free < need_free:
        cure = "make room there, shorten ledger.retention, or put ledger.url on another disk"
        return fail("disk", f"only {told}", cure)
    return ok("disk", told)


def _ledger(settings: Settings) -> Finding:
    from gateway.store.connection import LedgerUnusable
    from gateway.store.ledgers import reading

    ledger = settings.ledger
    where = str(ledger.path) if ledger.database is None else "the ledger's database"
    if ledger.database is None and not ledger.path.exists():
        return _new_ledger(ledger.path)
    try:
        with reading(ledger.place) as opened:
            count = opened.execute("SELECT count(*) FROM request").fetchone()[0]
    except (LedgerUnusable, OSError) as error:
        cure = (
            "move the file away (the gateway makes a new one), or name another in ledger.url"
            if ledger.database is None
            else "see that the server runs, and that ledger.url has its user, password and database"
        )
        return fail("ledger", f"{where} cannot be used: {error}", cure)
    if ledger.database is None and not os.access(ledger.path, os.W_OK):
        cure = f"let the gateway's user write it: chown or chmod u+w {ledger.path}"
        return fail("ledger", f"{where} cannot be written", cure)
    return ok("ledger", f"{where} holds {count:,} requests")


def _new_ledger(path: Path) -> Finding:
    if os.access(path.parent, os.W_OK):
        return ok("ledger", f"{path} will be made")
    cure = f"make {path.parent} a folder that the gateway's user may write, or change ledger.url"
    return fail("ledger", f"{path} cannot be made: its folder is missing or closed", cure)


def _prices(settings: Settings) -> Iterator[Finding]:
    from gateway.api.build_info import priced_at

    at = priced_at(settings)
    days = 0 if at is None else int((datetime.now(tz=UTC).timestamp() - at) / 86_400)
    if days > OLD_PRICES:
        cure = "look them up, and put newer ones into prices.file (`waterfall prices import`)"
        yield warn("prices", f"the oldest in force was looked up {days} days ago", cure)
    for route in settings.routes.values():
        yield from _order(route)
    for warning in settings.warnings:
        yield warn("config", warning, "do what it says, or leave it where it is meant so")


def _order(route: Route) -> Iterator[Finding]:
    """Is a route ordered as it must be, cheap to strong?"""
    costs = [(tier.price.input + tier.price.output, tier.name) for tier in route.tiers]
    dearer = [(a, b) for a, b in pairwise(costs) if a[0] > b[0]]
    about = f"prices of {route.name}"
    if not dearer:
        yield ok(about, " < ".join(f"{name} ${dollars(cost)}" for cost, name in costs))
        return
    (first, lower), (second, upper) = dearer[0]
    yield fail(
        about,
        f"{lower} (${dollars(first)} in and out) costs more than {upper} (${dollars(second)})",
        f"order the tiers of {route.name} cheap to strong, or mend the price that is wrong",
    )


def _scorers(settings: Settings) -> Finding:
    from gateway.scoring import UNUSABLE, try_scorers

    try:
        try_scorers(settings.routes).drop()
    except UNUSABLE as error:
        cure = "name a whole artefact's folder, or say scorer: default; `waterfall train` makes one"
        return fail("scorer", str(error), cure)
    return ok("scorer", "every route's can be opened")


def _files() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < ENOUGH_FILES:
        cure = f"raise it: ulimit -n {ENOUGH_FILES}, or LimitNOFILE= of the systemd unit"
        return warn("open files", f"a process may have only {soft}", cure)
    return ok("open files", f"a process may have {soft}")
