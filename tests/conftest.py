"""What holds for every test: loopback only, no keys from outside, seeded and bounded properties."""

from __future__ import annotations

import gc
import ipaddress
import itertools
import os
import re
import socket
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import HealthCheck, settings

from gateway.core import quick as values

IN_CI = os.environ.get("WATERFALL_CI") == "1"

# ------------------------------------------------------------------ environment

FORGOTTEN = re.compile(
    r"_KEY$|_TOKEN$|_SECRET$|_PROXY$|^WATERFALL_(?!CI$)|^PYTEST_ADDOPTS$", re.IGNORECASE
)


def pytest_configure(config):
    """Forget the caller's keys and proxies: a test has only what it sets itself."""
    for name in [name for name in os.environ if FORGOTTEN.search(name)]:
        del os.environ[name]


def pytest_collection_finish():
    """Leave 400,000 objects of modules and tests, there for good, out of collections; until a
    launcher that ends in this process has all looked through again, as it does for its own."""
    gc.collect()
    gc.freeze()


# ------------------------------------------------------------------ frozen values

_quick = values.quick


def _guarded(cls):
    """What a `quick` value does not refuse in service, it refuses wherever the tests run: to have a
    field set a second time, or deleted."""

    def set_once(self, name, value):
        if hasattr(self, name):
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def keep(self, name):
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    guarded = _quick(cls)
    guarded.__setattr__, guarded.__delattr__ = set_once, keep
    return guarded


values.quick = _guarded  # before anything of the gateway is imported

# ------------------------------------------------------------------ network


class OutsideWorldError(RuntimeError):
    """A test reached for something that is not on this machine."""


def _is_loopback(host: object) -> bool:
    if host in {None, "", "localhost", b"localhost"}:
        return True
    try:
        text = host.decode() if isinstance(host, bytes) else str(host)
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _guard(host: object) -> None:
    if not _is_loopback(host):
        raise OutsideWorldError(f"tests may speak to loopback only, not to {host!r}")


@pytest.fixture(autouse=True, scope="session")
def _loopback_only():
    real = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex")}
    resolve = socket.getaddrinfo

    def guarded(name):
        def call(self, address):
            if self.family in {socket.AF_INET, socket.AF_INET6}:
                _guard(address[0])
            return real[name](self, address)

        return call

    def guarded_resolve(host, *args, **kwargs):
        _guard(host)
        return resolve(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for name in real:
            patch.setattr(socket.socket, name, guarded(name))
        patch.setattr(socket, "getaddrinfo", guarded_resolve)
        yield


# ------------------------------------------------------------------ a real database server

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL server, started once; as fast as may be, for no test cuts the power."""
    from loadtests.postgres import binaries, server

    if binaries() is None:
        pytest.skip("no PostgreSQL is installed: apt install postgresql")
    with server("fsync=off", "max_connections=50") as running:
        yield running


@pytest.fixture
def postgres_url(postgres_server):
    """The address of an empty database of it."""
    from gateway.core.database_url import DatabaseUrl

    return DatabaseUrl(postgres_server.create(f"ledger{next(_NUMBERS)}"))


# ------------------------------------------------------------------ properties

# No deadline: a machine shared with others is slow for reasons of its own.
_patient = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=100, **_patient)
settings.register_profile("ci", max_examples=200, print_blob=True, database=None, **_patient)
settings.register_profile("prove", max_examples=1_500, print_blob=True, **_patient)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "default"))

# ------------------------------------------------------------------ no silent skips in CI


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a live test that skips itself has not been run, and says so by failing."""
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if IN_CI and skipped and item.get_closest_marker("live"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped in CI: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """The same for a whole file that skips itself while it is read."""
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} may not be skipped in CI: {report.longrepr}"
    return report
