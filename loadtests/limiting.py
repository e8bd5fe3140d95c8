"""What limits, budgets and keys cost a request in CPU, by themselves; and whether the time of a
key's check tells how much of a key was right."""

from __future__ import annotations

import gc
import hashlib
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gateway.api.auth import Key, authenticate
from gateway.core.baseline import Baseline
from gateway.core.errors import Unauthorized
from gateway.core.ids import uuid7
from gateway.core.ledger import Entry, Origin, Timing
from gateway.core.limits import Budget, Limits
from gateway.core.money import NANO
from gateway.core.outcome import Outcome
from gateway.limits import Accounts, Admission, Scope, rate_headers
from gateway.shared import FileShared, MemoryShared, Shared
from gateway.store.keyring import Keyring
from gateway.store.keys import KeyTable, StoredKey, digest_of
from loadtests.harness import Proof

MOST = 30.0
"""Microseconds of CPU for a request."""
_EVERYTHING = Limits(
    rpm=10_000_000,
    tpm=1_000_000_000,
    concurrency=10_000,
    budgets=(Budget("day", 1_000_000 * NANO), Budget("month", 10_000_000 * NANO)),
)
_KEY = "sk-some-key-of-a-usual-length-0123456789"
_PEPPER = "a-pepper-of-sixteen-characters-or-more"
_BATCH = 50
_ROUNDS = 2_000
APART = 0.02
"""The part of a check's time by which two beginnings may differ: less than chance is here."""


def wall() -> float:
    """UNIX time, as the gateway has it."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def _entry(entry_id: str) -> Entry:
    return Entry(
        origin=Origin(entry_id, entry_id, 0.0),
        route="waterfall",
        mode="enforce",
        outcome=Outcome(),
        timing=Timing(),
        status=200,
        start_tier="small",
        start_reason="score",
        difficulty=None,
        threshold=None,
        baseline=Baseline(0, "measured"),
    )


async def _one_by_one(shared: Shared, requests: int) -> tuple[float, int]:
    """Return the microseconds of CPU that a request takes (its key, limits, budgets, headers), and
    for how many something is still put aside."""
    accounts = Accounts(shared, "a", time.perf_counter, 1.0)
    admission = Admission(accounts, wall, lambda *_: None)
    digest = hashlib.sha256(_KEY.encode()).digest()
    keys = [Key(f"k{n}", hashlib.sha256(str(n).encode()).digest()) for n in range(9)]
    keys.append(Key("app", digest, limits=_EVERYTHING))
    scope = {"headers": [(b"authorization", f"Bearer {_KEY}".encode())]}
    entries = [_entry(uuid7(n, n)) for n in range(requests)]
    gc.collect()
    began = time.process_time()
    for entry in entries:
        key = authenticate(scope, keys)
        scopes = [Scope("key", key.name, key.limits or _EVERYTHING)]
        entry_id = entry.origin.entry_id
        rate_headers(await admission.admit(entry_id, scopes, 400, 50_000, 900_000))
        admission.settle(entry)
        admission.release(entry_id)
    spent = time.process_time() - began
    await accounts.aclose()
    return spent / requests * 1e6, admission.under_way


def _checks(folder: Path) -> dict[str, Callable[[str], object]]:
    """Both ways in which a key is looked for, and neither finds one that is wrong."""
    digest = hashlib.sha256(_KEY.encode()).digest()
    fixed = [Key("app", digest)]

    def configured(text: str) -> object:
        scope = {"headers": [(b"authorization", b"Bearer " + text.encode())]}
        with suppress(Unauthorized):
            return authenticate(scope, fixed)
        return None

    table = KeyTable(folder / "keys.db")
    table.add(StoredKey("app", digest_of(_KEY, _PEPPER.encode()), _KEY[:3], {}, wall()))
    keyring = Keyring(table, _PEPPER, folder / "pepper", wall)
    keyring.look()
    return {"configuration": configured, "store": keyring.find}


def _told_apart(check: Callable[[str], object], rounds: int) -> dict[str, float]:
    """The median microseconds of a check by how much of the wrong key is right: taken in turns, in
    an order that changes, so that what else goes on meets all alike."""
    size = len(_KEY)
    right = {"nothing": 0, "half": size // 2, "all but the last": size - 1}
    wrong = {name: _KEY[:n] + "~" * (size - n) for name, n in right.items()}
    found: dict[str, list[float]] = {name: [] for name in wrong}
    names = list(wrong)
    gc.disable()
    try:
        for number in range(rounds):
            for name in names[number % 3 :] + names[: number % 3]:
                text = wrong[name]
                began = time.perf_counter_ns()
                for _ in range(_BATCH):
                    check(text)
                found[name].append((time.perf_counter_ns() - began) / _BATCH / 1e3)
    finally:
        gc.enable()
    return {name: statistics.median(each) for name, each in found.items()}


async def prove(
    folder: Path, requests: int = 20_000, repeats: int = 5, *, strict: bool = True
) -> Proof:
    """Run it. Without `strict` the promise is only that what was put aside is settled."""
    proof = Proof("limiting")
    kinds: dict[str, list[float]] = {"memory": [], "file": []}
    open_ones: list[int] = []
    for number in range(repeats):
        for kind, found in kinds.items():
            shared: Shared = MemoryShared(wall)
            if kind == "file":
                shared = FileShared(folder / f"{number}.shared", wall, 1.0)
            microseconds, open_now = await _one_by_one(shared, requests)
            found.append(microseconds)
            open_ones.append(open_now)
            await shared.aclose()
    proof.promise("everything that was put aside is settled", held=not any(open_ones))
    for kind, found in kinds.items():
        told = f"median {sorted(found)[len(found) // 2]:.1f} us, max {max(found):.1f} us"
        proof.figures[f"CPU a request, {kind}"] = f"{told} of {repeats} x {requests}"
    for kind, check in _checks(folder).items():
        took = _told_apart(check, _ROUNDS if strict else 20)
        told = ", ".join(f"{each:.3f} us with {name} right" for name, each in took.items())
        proof.figures[f"a wrong key, {kind}"] = f"{told} (medians of {_ROUNDS} x {_BATCH})"
        if strict:
            least, most = min(took.values()), max(took.values())
            sentence = f"a check by the {kind} takes as long whatever a key begins with (to 2 %)"
            proof.promise(sentence, held=most - least <= APART * least)
    sentence = f"key, rpm, tpm, concurrency, two budgets and their headers: at most {MOST:g} us"
    median = sorted(kinds["memory"])[repeats // 2]
    if strict:
        proof.promise(sentence, held=median <= MOST)
    return proof
