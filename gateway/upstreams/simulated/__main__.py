"""`python -m gateway.upstreams.simulated`: a simulated provider on a port of this machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from gateway.upstreams.simulated.behaviour import (
    Accuracy,
    Behaviour,
    Length,
    Model,
    Pace,
    load_answers,
)
from gateway.upstreams.simulated.script import FAULTS, Rule, read_rules
from gateway.upstreams.simulated.server import serve_simulated


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; the first line printed is `listening http://HOST:PORT`."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        behaviour = _behaviour(given)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    try:
        uvloop.run(_serve(behaviour, given))
    except OSError as error:
        print(f"cannot serve: {error}", file=sys.stderr)  # noqa: T201 -- it talks to a person
        return 1
    return 0


async def _serve(behaviour: Behaviour, given: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serve_simulated(
        behaviour, host=given.host, port=given.port, key=given.key, log=given.log
    ) as server:
        print(f"listening {server.url}", flush=True)  # noqa: T201 -- whoever started it waits for it
        await stop.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.upstreams.simulated",
        description="A provider that exists only here: seeded models, scripted faults, real HTTP.",
        epilog="faults: " + ", ".join(FAULTS),
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 takes a free one (default)")
    add("--seed", type=int, default=0)
    add("--model", action="append", default=[], help="a model to serve; none: any name is served")
    add("--answers", type=Path, help="JSON: prompt -> answer or {answer, hard, wrong}")
    add("--accuracy", action="append", default=[], metavar="MODEL=P[/P_HARD]")
    add("--coached", action="append", default=[], metavar="MODEL=TEXT=P[/P_HARD]",
        help="its accuracy when a system message holds TEXT")  # fmt: skip
    add("--context", action="append", default=[], metavar="MODEL=TOKENS")
    add("--words", type=float, default=24.0, help="median length of a free reply")
    add("--words-sigma", type=float, default=0.4)
    add("--first-token", type=float, default=0.0, help="seconds (median)")
    add("--per-token", type=float, default=0.0, help="seconds (median)")
    add("--sigma", type=float, default=0.0, help="of both, log-normal")
    add("--script", help="rules: a JSON file, or JSON itself")
    add("--log", type=Path, help="append the log to this file")
    add("--key", help="ask for this API key")
    return parser


def _behaviour(given: argparse.Namespace) -> Behaviour:
    pace = Pace(given.first_token, given.sigma, given.per_token, given.sigma)
    base = Model(length=Length(given.words, given.words_sigma), pace=pace)
    models = dict.fromkeys(given.model, base)
    for text in given.accuracy:
        name, value = _pair(text)
        models[name] = replace(models.get(name, base), accuracy=Accuracy.read(value))
    for text in given.coached:
        name, rest = _pair(text)
        sign, _, value = rest.rpartition("=")
        model = models.get(name, base)
        coached = (*model.coached, (sign, Accuracy.read(value)))
        models[name] = replace(model, coached=coached)
    for text in given.context:
        name, value = _pair(text)
        models[name] = replace(models.get(name, base), context=int(value))
    answers = load_answers(given.answers) if given.answers else {}
    return Behaviour(given.seed, models, base, answers, _rules(given.script))


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise ValueError(f"{text!r} is not MODEL=VALUE")
    return name, value


def _rules(script: str | None) -> tuple[Rule, ...]:
    if not script:
        return ()
    text = script if script.lstrip().startswith("[") else Path(script).read_text(encoding="utf-8")
    return read_rules(json.loads(text))


if __name__ == "__main__":
    sys.exit(main())
