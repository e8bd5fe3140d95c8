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
    """The checks that wait, by name; `closing` lets go of what they hold."""

    by_name: dict[str, Examiner] = field(default_factory=dict)
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def aclose(self) -> None:
        """Close threads."""
        await asyncio.gather(*(close() for close in self.closing))


def open_examiners(
    checks: Mapping[str, CheckDefinition],
    upstreams: Mapping[str, Upstream],
    marker: str,
    alike: Alike | None,
) -> Examiners:
    """Open every check; `marker` and `alike` as in Agreement. Raises CheckUnusable."""
    opened = Examiners()
    for name, check in checks.items():
        inner: Waiting
        match check:
            case AgreementCheck():
                inner = Agreement(check, upstreams, marker, alike)
                opened.closing.append(inner.aclose)
            case JudgeCheck():
                inner = Judge(check, upstreams[check.tier.upstream])
            case PythonCheck():
                inner = Function(check)
                opened.closing.append(inner.aclose)
            case CommandCheck():
                inner = Command(name, check)
        opened.by_name[name] = Guarded(name, inner, check.timeout)
    return opened


def try_examiners(checks: Mapping[str, CheckDefinition]) -> None:
    """Look at the checks that can be wrong beyond the configuration. Raises CheckUnusable."""
    for check in checks.values():
        if isinstance(check, PythonCheck):
            Function(check)
