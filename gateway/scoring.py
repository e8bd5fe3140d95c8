"""From the scorers that routes name to scorers in use: opened at the start, closed at the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gateway
from gateway import scorers
from gateway.core.ports import Assessor, Receive, Scorer, Upstream, UpstreamCall
from gateway.core.routing import Route
from gateway.core.scorer_spec import LlmSpec, PythonSpec, RemoteSpec
from gateway.core.signals import Signals
from gateway.upstreams.embeddings import Embeddings
from gateway.upstreams.opening import UpstreamUnusable

ARTEFACTS = Path(gateway.__file__).resolve().parent.parent / "router_models" / "artefacts"
"""Where the trained artefacts lie: data beside the package, in a checkout as in a wheel."""
UNUSABLE = (scorers.ArtefactError, scorers.FunctionError, UpstreamUnusable)
"""Everything that opening a scorer raises."""

Close = Callable[[], Awaitable[None]]


class _Nowhere:
    """The upstream of a scorer that is only looked at; fits core.ports.Upstream."""

    async def call(self, call: UpstreamCall, receive: Receive) -> None:
        raise AssertionError(call, receive)

    async def aclose(self) -> None:
        return None


_NOWHERE = _Nowhere()


@dataclass(slots=True)
class Scorers:
    """By route: in `bases` what has a word at once; in `assessors` the scorers that wait, for the
    routes that have one; in `shadows` the candidates. `closing` lets go of what they hold, and
    `functions` are those that hold processes."""

    bases: dict[str, Scorer] = field(default_factory=dict)
    assessors: dict[str, Assessor] = field(default_factory=dict)
    shadows: dict[str, scorers.Shadow] = field(default_factory=dict)
    closing: list[Close] = field(default_factory=list)
    functions: list[scorers.FunctionScorer] = field(default_factory=list)

    @property
    def deciding(self) -> dict[str, Scorer | Assessor]:
        """By route: whoever has the last word."""
        return {**self.bases, **self.assessors}

    async def aclose(self) -> None:
        """Close connections and processes."""
        for close in self.closing:
            await close()

    def drop(self) -> None:
        """End processes, where nobody was asked yet. Blocks shortly."""
        for function in self.functions:
            function.close()


def open_scorers(routes: Mapping[str, Route], upstreams: Mapping[str, Upstream]) -> Scorers:
    """Open every route's scorers. A tier of no route has none: no plan of its hangs on one.

    Raises one of UNUSABLE, and leaves no process then.
    """
    opened = Scorers()
    try:
        _open_all(opened, routes, upstreams)
    except BaseException:
        opened.drop()
        raise
    return opened


def _open_all(
    opened: Scorers, routes: Mapping[str, Route], upstreams: Mapping[str, Upstream]
) -> None:
    for name, route in routes.items():
        opened.bases[name] = _fitting(open_base(route), route)
        if assessor := _open_assessor(route, opened, upstreams):
            opened.assessors[name] = assessor
        if route.candidate is not None:
            candidate = open_plain(route.candidate)
            _check_heads(route, "candidate", candidate.label, _heads_of(candidate))
            opened.shadows[name] = scorers.Shadow(candidate)


def _fitting(scorer: Scorer, route: Route) -> Scorer:
    _check_heads(route, "scorer", scorer.label, _heads_of(scorer))
    return scorer


def _heads_of(scorer: Scorer) -> int:
    return len(scorer.score(Signals(text="?", turns=1)).p_good)


def _check_heads(route: Route, key: str, label: str, heads: int) -> None:
    """Refuse a scorer that knows more tiers than its route has: its gain may be of one that is not
    there. Fewer are fine: the tiers past its last head share that. Raises ArtefactError."""
    if heads > len(route.tiers) > 1:
        raise scorers.ArtefactError(
            f"routes.{route.name}.{key}: {label} knows {heads} tiers and the route has "
            f"{len(route.tiers)}: train one on the route's own (waterfall train --tiers ...)."
        )


def try_scorers(routes: Mapping[str, Route]) -> Scorers:
    """Open scorers for a look at them: nothing can be asked, and `drop` closes them.

    Raises one of UNUSABLE.
    """
    asked = [each.scorer for each in routes.values() if isinstance(each.scorer, LlmSpec)]
    return open_scorers(routes, {spec.tier.upstream: _NOWHERE for spec in asked})


def open_base(route: Route) -> Scorer:
    """Open the scorer of a route that has a word at once: its own, or the base of one that waits.

    Raises ArtefactError.
    """
    return open_plain(_base_word(route))


def notes(routes: Mapping[str, Route]) -> list[str]:
    """Say of each route on the shipped scorer that it does not transfer, and what labels bring."""
    shipped = [name for name, route in routes.items() if _base_word(route) == "default"]
    if not shipped:
        return []
    bring = scorers.efficiency(ARTEFACTS / "default")
    steps = ", ".join(f"{labels:,} labels {apgr:.2f}" for labels, apgr in bring.items())
    told = (
        f"{', '.join(shipped)}: difficulty is by the shipped scorer, which does not transfer: on "
        "traffic unlike public benchmarks it is near chance. Labels of your own help; on its own "
        f"benchmarks they brought an APGR (random .50) of: {steps}. See docs/tuning.md."
    )
    return [told]


def _base_word(route: Route) -> str:
    match route.scorer:
        case str(word):
            return word
        case LlmSpec(base=base):
            return base
        case PythonSpec():
            return "rules"
        case RemoteSpec():
            return "default"


def open_plain(word: str) -> Scorer:
    """Open `default`, `rules` or an artefact's folder. Raises ArtefactError."""
    if word == "rules":
        return scorers.rules()
    return scorers.load(ARTEFACTS / "default" if word == "default" else Path(word))


def _open_assessor(
    route: Route, opened: Scorers, upstreams: Mapping[str, Upstream]
) -> Assessor | None:
    match route.scorer:
        case PythonSpec() as spec:
            function = scorers.FunctionScorer(spec, len(route.tiers))
            opened.closing.append(function.aclose)
            opened.functions.append(function)
            return scorers.Guarded(function, spec.timeout)
        case RemoteSpec() as spec:
            heads = scorers.read_heads(Path(spec.artefact))
            _check_heads(route, "scorer.remote", heads.label, len(heads.calibration))
            endpoint = _endpoint(spec)
            opened.closing.append(endpoint.aclose)
            return scorers.Guarded(scorers.RemoteScorer(spec, heads, endpoint), spec.timeout)
        case LlmSpec() as spec:
            base = opened.bases[route.name].label
            upstream = upstreams[spec.tier.upstream]
            return scorers.Guarded(scorers.LlmScorer(spec, upstream, base), spec.timeout)
        case _:
            return None


def _endpoint(spec: RemoteSpec) -> Embeddings:
    try:
        return Embeddings(spec.url, spec.model, spec.api_key)
    except ValueError as error:
        raise UpstreamUnusable(f"scorer.remote: {error}.") from error
