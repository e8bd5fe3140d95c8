"""The section `checks`: what a user defines, and what the tiers' bars make of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace

from gateway.config.bar import CHECKS, UNSURE
from gateway.config.check_models import (
    KINDS,
    AgreementKeys,
    CheckKeys,
    CommandKeys,
    JudgeKeys,
    PythonKeys,
)
from gateway.config.checking import at, check
from gateway.config.draft import Draft
from gateway.config.fields import name
from gateway.config.problems import Trail
from gateway.core.check_spec import (
    AgreementCheck,
    CheckDefinition,
    CommandCheck,
    JudgeCheck,
    PythonCheck,
    asks_of,
)
from gateway.core.plan import Tier
from gateway.core.verdict import EARLY, Bar


def checks(draft: Draft, tiers: Mapping[str, Tier]) -> dict[str, CheckDefinition]:
    """Read `checks` over the tiers that could be read."""
    given = at(draft.document, ("checks",))
    if not isinstance(given, dict):
        if isinstance(draft.document.data, dict) and "checks" in draft.document.data:
            draft.complain(("checks",), "must be a mapping of names to checks")
        return {}
    read = {entry: _check(draft, entry, tiers) for entry in given}
    return {entry: found for entry, found in read.items() if found}


def _check(draft: Draft, entry: str, tiers: Mapping[str, Tier]) -> CheckDefinition | None:
    trail: Trail = ("checks", entry)
    try:
        name(entry)
    except ValueError as error:
        draft.complain(trail, f"a name {error}")
    if entry in (*CHECKS, UNSURE):
        draft.complain(trail, "is the name of a check that comes with the gateway; choose another")
    if entry == EARLY:
        draft.complain(trail, "is how the ledger names what ended a draft early; choose another")
    found = at(draft.document, trail)
    kind = found.get("kind") if isinstance(found, dict) else None
    if kind not in tuple(KINDS):
        draft.complain((*trail, "kind"), f"must be {', '.join(KINDS)}", kind)
        return None
    keys = check(draft.document, KINDS[kind], trail)
    return None if keys is None else _defined(draft, trail, keys, tiers)


def _defined(
    draft: Draft, trail: Trail, keys: CheckKeys, tiers: Mapping[str, Tier]
) -> CheckDefinition | None:
    match keys:
        case AgreementKeys():
            return _agreement(draft, trail, keys, tiers)
        case JudgeKeys():
            tier = _tier(draft, trail, keys.tier, tiers)
            if tier is None:
                return None
            return JudgeCheck(tier, keys.timeout, keys.prompt or "", keys.allow_self)
        case PythonKeys():
            where = draft.document.place((*trail, "call"))
            return PythonCheck(keys.call, keys.timeout, keys.helpers, keys.memory, where)
        case CommandKeys():
            return _command(draft, trail, keys)


def _agreement(
    draft: Draft, trail: Trail, keys: AgreementKeys, tiers: Mapping[str, Tier]
) -> AgreementCheck:
    tier = None if keys.tier is None else _tier(draft, trail, keys.tier, tiers)
    if keys.tier is None and keys.temperature == 0 and keys.seed is None:
        draft.warn((*trail, "temperature"), "the same model at 0 says the same again")
    return AgreementCheck(
        tier, keys.samples, keys.temperature, keys.seed, keys.timeout, keys.concurrent
    )


def _tier(draft: Draft, trail: Trail, wanted: str, tiers: Mapping[str, Tier]) -> Tier | None:
    """Return the tier to ask, without its bar: nobody judges a judge."""
    draft.known((*trail, "tier"), wanted, draft.names("tiers"), "tier")
    tier = tiers.get(wanted)
    return None if tier is None else replace(tier, bar=Bar())


def _command(draft: Draft, trail: Trail, keys: CommandKeys) -> CommandCheck:
    program, *rest = keys.run
    if "/" in program:
        path = draft.existing((*trail, "run", 0), program)
        if path is not None and not os.access(path, os.X_OK):
            draft.complain((*trail, "run", 0), "cannot be run: it is not executable", program)
        program = program if path is None else str(path.resolve())
    elif shutil.which(program) is None:
        draft.complain((*trail, "run", 0), "no such program in PATH", program)
    return CommandCheck(
        run=(program, *rest),
        timeout=keys.timeout,
        cpu=keys.cpu,
        memory=keys.memory,
        file_size=keys.file_size,
        processes=keys.processes,
        env=tuple(keys.env),
        gives=keys.gives,
    )


def with_checks(
    draft: Draft, tiers: Mapping[str, Tier], defined: Mapping[str, CheckDefinition]
) -> dict[str, Tier]:
    """Say in every bar what its checks ask of a model; refuse a judge of its own replies."""
    named = {spec.name for tier in tiers.values() for spec in tier.bar.checks}
    for unused in defined.keys() - named:
        draft.warn(("checks", unused), "no tier's bar names it")
    return {entry: _with_checks(draft, tier, defined) for entry, tier in tiers.items()}


def _with_checks(draft: Draft, tier: Tier, defined: Mapping[str, CheckDefinition]) -> Tier:
    specs = []
    for place, spec in enumerate(tier.bar.checks):
        found = defined.get(spec.name)
        if found is None:
            specs.append(spec)
            continue
        if isinstance(found, JudgeCheck) and _is_maker(found.tier, tier) and not found.allow_self:
            trail = ("tiers", tier.name, "bar", "checks", place)
            told = "asks the model that wrote the reply: name another tier, or allow_self: true"
            draft.complain(trail, f"{spec.name} {told}")
        concurrent = isinstance(found, AgreementCheck) and found.concurrent
        specs.append(replace(spec, asks=asks_of(found), concurrent=concurrent))
    return replace(tier, bar=replace(tier.bar, checks=tuple(specs)))


def _is_maker(judge: Tier, tier: Tier) -> bool:
    return (judge.upstream, judge.model) == (tier.upstream, tier.model)
