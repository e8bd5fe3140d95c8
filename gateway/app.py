"""The composition root: from settings to everything, and from new settings to its replacement."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI

from gateway.api.admin import Controls, Render, admin_app, at_once, refuse_restart
from gateway.api.answering import open_passing
from gateway.api.build_info import build_info, priced_at
from gateway.api.caching import ReplyCache
from gateway.api.dashboard import describe
from gateway.api.doors import StartError, open_ledger, refuse_open_door
from gateway.api.figures import figures_of
from gateway.api.kept_responses import KeptResponses
from gateway.api.planning import Clocks, require_thresholds
from gateway.api.server import main_app
from gateway.api.service import Service, Switch
from gateway.api.sessions import Sessions
from gateway.checks import all_checks
from gateway.checks.function import CheckUnusable
from gateway.checks.opening import open_examiners
from gateway.config import ConfigError, ServerSettings, Settings, is_loopback, load, with_digest
from gateway.core.errors import BadRequest
from gateway.core.ids import Ids
from gateway.core.ledger import Refusal
from gateway.core.prompt_hash import hasher
from gateway.core.recipes import write_marker
from gateway.core.room import Room
from gateway.engine import Engine, Parts, ShadowCalls
from gateway.prices import open_book
from gateway.scorers.likeness import alike
from gateway.scoring import UNUSABLE, open_scorers
from gateway.sinks.log import RequestLog, human_line, json_line
from gateway.sinks.metrics import Metrics
from gateway.sinks.telemetry import TelemetryUnusable, open_telemetry
from gateway.spending import SharedUnusable, Spending, key_desk
from gateway.store.connection import LedgerUnusable
from gateway.tuning import Keeper
from gateway.upstreams.fleet import Figures, Fleet, open_fleet
from gateway.upstreams.opening import UpstreamUnusable, open_upstream
from gateway.upstreams.probe import Readiness

_log = logging.getLogger("waterfall")
_LINES = {"human": human_line, "json": json_line}

REFUSALS = (
    *(ConfigError, StartError, UpstreamUnusable, LedgerUnusable, CheckUnusable),
    *(TelemetryUnusable, SharedUnusable, *UNUSABLE),
)
"""Everything that may be wrong with a configuration."""


def wall() -> float:
    """UNIX time in seconds: for what is stored, never for measuring."""
    return time.time_ns() / 1e9


CLOCKS = Clocks(time.perf_counter, wall, Ids(time.time_ns, os.urandom).draw)


def read_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Load a configuration with the price book it names. Raises ConfigError."""
    return load(path, environ, open_book)


class Gateway:
    """A gateway in use: open it, serve its apps, reload it, close it."""

    def __init__(
        self,
        settings: Settings,
        path: Path | None = None,
        log_to: int = 1,
        server: ServerSettings | None = None,
    ) -> None:
        """`path` is where `settings` came from: without one there is nothing to reload.

        `log_to` is the file descriptor of the request log; `server` stands in the place of the
        file's own section, where the command line has changed it.

        Opens the ledger. Raises one of REFUSALS, and leaves nothing open then.
        """
        self._from_file = settings.fixed
        settings = with_digest(replace(settings, server=server or settings.server))
        refuse_open_door(settings)
        self.settings = settings
        self.admin_secret = settings.server.admin_key or secrets.token_urlsafe(24)
        self.on_settings: list[Callable[[Settings], None]] = []
        """Called, each of them, with every new configuration that is put in force."""
        self.on_files: Callable[[Iterable[Path], float | None], None] = lambda _, __: None
        """Called with the files whose change calls for a reload, and with the UNIX time that does
        too, whenever they differ."""
        self._path = path
        self._marker = write_marker(secrets.randbits(64))
        self._sessions = Sessions(time.perf_counter)
        self._reloading = asyncio.Lock()
        self.figures = figures_of(settings.ledger, wall)
        self.store = open_ledger(settings.ledger)
        with contextlib.ExitStack() as opened:
            opened.callback(self.store.close)
            self.log = RequestLog(_LINES[settings.server.log], log_to)
            opened.callback(self.log.close)
            self.keeper = Keeper(self.store.archive, wall)
            self.metrics = Metrics((), {}, self._figures, self._standing, self.store.database)
            self.store.tell_batches(self.metrics.standing.flushed)
            self.telemetry = open_telemetry(settings.otlp, self.metrics)
            opened.callback(self.telemetry.close)
            self._spending = Spending(settings, CLOCKS, self.metrics.limited)
            self._fleet: Fleet | None = None
            self.switch = Switch(self._build(settings), Room(*self.settings.server.room))
            self._take(self.switch.service)
            self.keeper.start()
            opened.pop_all()

    def enter(self, route: str) -> None:
        """Count a request in."""
        self.metrics.enter(route)

    def leave(self, route: str) -> None:
        """Count it out."""
        self.metrics.leave(route)

    def refuse(self, refused: Refusal) -> None:
        """Count and log a request that was turned away."""
        self.metrics.refuse(refused)
        self.log.write(refused)

    def _figures(self) -> dict[str, float]:
        own = {"dropped_lines": float(self.log.dropped), **self.telemetry.figures()}
        return {**self.store.figures(), **self._spending.figures(), **own}

    def _standing(self) -> Figures:
        return {**self.keeper.figures(), **self.switch.service.figures()}

    def _build(self, settings: Settings) -> Service:
        spent = self._spending.open(settings)
        clock, counts = CLOCKS.monotonic, self.metrics.resilience
        fleet = open_fleet(settings, open_upstream, clock, counts, before=self._fleet)
        upstreams = spent.limited(dict(fleet.upstreams))
        opened = open_scorers(settings.routes, upstreams)
        try:
            examiners = open_examiners(settings.checks, upstreams, self._marker, alike)
        except BaseException:
            opened.drop()
            raise
        parts = Parts(
            upstreams=upstreams,
            counters=fleet.counters,
            checks=all_checks(self._marker),
            journal=self.store.journal,
            sinks=(*spent.sinks, self.metrics.observe, self.log.write, *self.telemetry.sinks),
            marker=self._marker,
            clock=CLOCKS.monotonic,
            wall=CLOCKS.wall,
            new_id=CLOCKS.new_id,
            config=settings.digest,
            keep_prompts=settings.ledger.content == "prompts",
            examiners=examiners.by_name,
            shadow_sinks=(
                *(*spent.shadow_sinks, self.metrics.observe_shadow),
                *self.telemetry.shadow_sinks,
            ),
            trace=self.telemetry.header,
            gateway_cost=settings.prices.gateway_cost,
            prompt_hash=hasher(settings.ledger.prompt_key),
        )

        keeping = {u for t in settings.tiers.values() if t.wire == "responses" for u in t.upstreams}
        passing = open_passing(parts, settings.passthrough, settings.upstreams, keeping)

        async def close() -> None:
            await asyncio.gather(
                passing.aclose(), opened.aclose(), examiners.aclose(), fleet.aclose()
            )

        self._fleet = fleet
        return Service(
            engine=Engine(parts),
            routes=settings.routes,
            tiers=settings.tiers,
            aliases=settings.aliases,
            scorers=opened.bases,
            assessors=opened.assessors,
            shadows=opened.shadows,
            tuned=self.keeper.prepare(settings.routes, opened.deciding),
            keys=self._spending.keys(settings),
            sessions=self._sessions,
            meter=self,
            **settings.server.bounds,
            **fleet.told,
            close=close,
            passing=passing,
            kept=KeptResponses(self._spending.line),
            shadow_calls=ShadowCalls(parts),
            usable=Readiness(settings.upstreams.values(), CLOCKS.monotonic).check,
            admission=spent.admission,
            line=self._spending.line,
            cache=ReplyCache(self._spending.line, settings.digest),
        )

    def main(self, render: Render | None = None) -> FastAPI:
        """Build the main listener's app; `render` speaks for all workers where there are more."""
        server = self.settings.server
        render = (render or at_once(self.metrics.render)) if is_loopback(server.host) else None
        return main_app(self.switch, CLOCKS, self.store.labels, render, docs=server.docs)

    def admin(self) -> FastAPI:
        """Build the admin listener's app."""
        host = self.settings.server.admin[0] if self.settings.server.admin else ""
        controls = Controls(
            secret=self.admin_secret,
            is_local=is_loopback(host),
            render_metrics=at_once(self.metrics.render),
            reload=self.reload_or_refuse,
            set_thresholds=at_once(self.set_thresholds),
            refuse=self.log.write,
            restart=refuse_restart,
            figures=self.figures,
            routes=at_once(lambda: describe(self.switch.service.routes)),
            configured=lambda: self.settings,
            keys=key_desk(self.settings, CLOCKS),
        )
        return admin_app(controls, CLOCKS)

    async def reload(self) -> bool:
        """Load the file again and put it in force; a bad one leaves the last good one there."""
        try:
            await self.reload_or_refuse()
        except BadRequest:
            return False
        return True

    async def reload_or_refuse(self) -> str:
        """Load the file again and put it in force; return its digest. Raises BadRequest."""
        if self._path is None:
            raise BadRequest("This gateway was started without a file: there is none to reload.")
        async with self._reloading:
            try:
                settings = self._with_fixed(await asyncio.to_thread(read_settings, self._path))
                refuse_open_door(settings)
                service = await asyncio.to_thread(self._build, settings)
            except REFUSALS as error:
                looked_at = error.files if isinstance(error, ConfigError) else ()
                raise self._refused(str(error), looked_at) from error
            except Exception as error:  # what nobody has foreseen must not stop what is served
                raise self._refused(f"{type(error).__name__}: {error}") from error
            self._put_in_force(settings, service)
        _log.info("configuration %s is in force", settings.digest)
        return settings.digest

    def _take(self, service: Service) -> None:
        """Keep a service's thresholds, and show in metrics what it is made of."""
        self.keeper.watch(service.tuned)
        routes = service.routes.values()
        alone = [t for t in service.tiers.values() if not any(each.tier(t.name) for each in routes)]
        build, dated = build_info(self.settings, service), priced_at(self.settings)
        self.metrics.rebuild(routes, build, [*alone, *service.passing.tiers], dated)

    def _refused(self, told: str, looked_at: Iterable[Path] = ()) -> BadRequest:
        """Tell everyone that a reload was refused."""
        self.on_files({*self.settings.files, *looked_at}, self.settings.prices_until)
        self.metrics.reloaded(ok=False)
        _log.error("reload refused, the last good configuration stays: %s", told)
        return BadRequest(f"The configuration was refused: {told}")

    def _with_fixed(self, settings: Settings) -> Settings:
        """Keep what is bound and open as it is, whatever the file says now: the sockets are where
        they were, so it is by them that an open door is judged."""
        if settings.fixed != self._from_file:
            _log.warning("server, ledger, telemetry and shared settings change only with a restart")
        return with_digest(replace(settings, **self.settings.fixed))

    def _put_in_force(self, settings: Settings, service: Service) -> None:
        for label in settings.edited_in_place(self.settings):
            _log.warning("recipe %s has changed, but not its version: raise it", label)
        self.settings = settings
        self._take(service)
        self.metrics.reloaded(ok=True)
        self.on_files(settings.files, settings.prices_until)
        for listener in self.on_settings:
            listener(settings)
        self.switch.swap(service)

    def set_thresholds(self, name: str, thresholds: tuple[float, ...]) -> None:
        """Set a route's thresholds until the next reload. Raises BadRequest."""
        service = self.switch.service
        route = service.routes.get(name)
        if route is None:
            raise BadRequest(f"No route {name[:100]!r}.", param="route")
        require_thresholds(route, thresholds, "threshold")
        route = replace(route, thresholds=thresholds, target=None)
        routes, tuned = {**service.routes, name: route}, service.tuned.fixed(route)
        self.switch.service = replace(service, routes=routes, tuned=tuned)
        self._take(self.switch.service)
        _log.info("threshold of %s set to %s until the next reload", name, thresholds)

    async def close(self) -> None:
        """Let go of upstreams, then write out everything that is still spooled."""
        await self.figures.aclose()
        await self.switch.service.shadow_calls.close()
        await self.switch.service.close()
        await self._spending.aclose()
        await asyncio.to_thread(self.keeper.close)
        await asyncio.to_thread(self.store.close)
        await asyncio.to_thread(self.telemetry.close)
        self.log.close()
