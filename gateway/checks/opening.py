"""From the checks that a configuration defines to checks in use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from gateway.checks.agreement import Agreement
from gateway.checks.answers import Alike
from gateway.checks.command import Command
from gateway.checks.function import Function
from gateway.checks.guard import Guarded, Waiting
from gateway.checks.judge import Judge
from gateway.core.check_spec import (
    AgreementCheck,
    CheckDefinition,
    CommandCheck,
    JudgeCheck,
    PythonCheck,
)
from gateway.core.ports import Examiner, Upstream


@dataclass(slots=True)
class Examiners:
    """The checks that wait, by name; `closing` lets go of what they hold, and `functions` are those
    that hold processes."""

    by_name: dict[str, Examiner] = field(default_factory=dict)
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)

    async def aclose(self) -> None:
        """Close threads and processes."""
        await asyncio.gather(*(close() for close in self.closing))

    def drop(self) -> None:
        """The same, where nothing was asked yet. Blocks shortly."""
        for function in self.functions:
            function.close()


def open_examiners(
    checks: Mapping[str, CheckDefinition],
    upstreams: Mapping[str, Upstream],
    marker: str,
    alike: Alike | None,
) -> Examiners:
    """Open every check; `marker` and `alike` as in Agreement. Raises CheckUnusable, and leaves
    nothing open then."""
    opened = Examiners()
    try:
        for name, check in checks.items():
            inner = _open(opened, name, check, upstreams, marker, alike)
            opened.by_name[name] = Guarded(name, inner, check.timeout)
    except BaseException:
        opened.drop()
        raise
    return opened


def _open(
    opened: Examiners,
    name: str,
    check: CheckDefinition,
    upstreams: Mapping[str, Upstream],
    marker: str,
    alike: Alike | None,
) -> Waiting:
    match check:
        case AgreementCheck():
            agreement = Agreement(check, upstreams, marker, alike)
            opened.closing.append(agreement.aclose)
            return agreement
        case JudgeCheck():
            return Judge(check, upstreams[check.tier.upstream])
        case PythonCheck():
            function = Function(check)
            opened.closing.append(function.aclose)
            opened.functions.append(function)
            return function
        case CommandCheck():
            command = Command(name, check)
            opened.closing.append(command.aclose)
            return command


def try_examiners(checks: Mapping[str, CheckDefinition]) -> None:
    """Look at the checks that can be wrong beyond the configuration. Raises CheckUnusable."""
    for check in checks.values():
        if isinstance(check, PythonCheck):
            Function(check).close()
