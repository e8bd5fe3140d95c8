"""`waterfall chat`: talk to a waterfall in the terminal, and see after each answer what it did."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.cli import common

if TYPE_CHECKING:
    import httpx

URL = "http://127.0.0.1:8080/v1"
KEY_VARIABLE = "WATERFALL_API_KEY"
PATIENCE = 300.0
"""Seconds of silence: the gateway has its own deadlines, and they are shorter."""
HELP = "/tier NAME asks one tier alone, /model NAME another route, /clear forgets, /quit ends"
_DETAILS = ": waterfall "


@dataclass
class Talk:
    """A conversation: whom it is with, and what was said."""

    model: str
    said: list[dict[str, str]] = field(default_factory=list)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = commands.add_parser("chat", help="talk to a waterfall, and see what each answer took")
    parser.add_argument("--url", default=URL, help="default: %(default)s")
    parser.add_argument("--model", default="waterfall", help="a route or tier; default: waterfall")
    common.add_key_file(parser, "your key", KEY_VARIABLE)
    parser.add_argument("prompt", nargs="?", help="ask this alone, and end")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Talk until the end of the input. Exit code 1 when the gateway cannot be reached or refuses
    the last request."""
    import httpx

    key = common.read_key(args, KEY_VARIABLE)
    if key is None:
        return 2
    headers = {"x-waterfall-details": "true"} | ({"authorization": f"Bearer {key}"} if key else {})
    talk, well = Talk(args.model), True
    with httpx.Client(
        base_url=args.url, headers=headers, timeout=PATIENCE, trust_env=False
    ) as client:
        if args.prompt is not None:
            return 0 if _say(client, talk, args.prompt) else 1
        if sys.stdin.isatty():
            common.tell(f"Talking to {talk.model} at {args.url}. {HELP}.")
        for line in _lines():
            if line == "/quit":
                break
            well = _command(talk, line) if line.startswith("/") else _say(client, talk, line)
    return 0 if well else 1


def _lines() -> Iterator[str]:
    """Yield what is typed, or piped in, line by line."""
    while True:
        try:
            line = input("\n> " if sys.stdin.isatty() else "").strip()
        except EOFError:
            return
        if line:
            yield line


def _command(talk: Talk, line: str) -> bool:
    word, _, name = line.partition(" ")
    if word == "/clear":
        talk.said.clear()
    elif word in {"/tier", "/model"} and name.strip():
        talk.model = name.strip()
    else:
        common.tell(HELP)
    return True


def _say(client: httpx.Client, talk: Talk, text: str) -> bool:
    """Ask, and write the answer as it comes; was there one?"""
    import httpx

    asked = [*talk.said, {"role": "user", "content": text}]
    body = {"model": talk.model, "messages": asked, "stream": True}
    began = time.perf_counter()
    try:
        with client.stream("POST", "/chat/completions", json=body) as reply:
            if reply.status_code != 200:
                common.tell(f"waterfall: {_refusal(reply)}")
                return False
            answer, details = _read(reply)
    except httpx.HTTPError as error:
        told = f"no gateway at {client.base_url} ({type(error).__name__}); start `waterfall serve`"
        common.tell(f"waterfall: {told}")
        return False
    common.show()
    common.tell(_what_it_did(reply.headers, details, time.perf_counter() - began))
    if answer is None:
        return False
    talk.said[:] = [*asked, {"role": "assistant", "content": answer}]
    return True


def _read(reply: httpx.Response) -> tuple[str | None, Mapping[str, Any]]:
    """Write the stream as it comes; return the answer (None where it broke) and its details."""
    text: list[str] = []
    details: dict[str, Any] = {}
    for line in reply.iter_lines():
        if line.startswith(_DETAILS):
            details |= json.loads(line.removeprefix(_DETAILS))
            continue
        data = line.removeprefix("data: ")
        if data in {"", "[DONE]"} or not line.startswith("data: "):
            continue
        event = json.loads(data)
        if "error" in event:
            common.tell(f"\nwaterfall: {event['error'].get('message')}")
            return None, details
        for choice in event.get("choices", ()):
            piece = (choice.get("delta") or {}).get("content")
            if piece:
                text.append(piece)
                print(piece, end="", flush=True)
    return "".join(text), details


def _refusal(reply: httpx.Response) -> str:
    reply.read()
    try:
        error: Any = reply.json()["error"]
        return f"{error['message']} ({reply.status_code})"
    except (ValueError, KeyError, TypeError):
        return f"the answer was {reply.status_code}; is that a gateway?"


def _what_it_did(headers: Mapping[str, str], details: Mapping[str, Any], seconds: float) -> str:
    """Say who answered, why, after what, and for how much."""
    get = headers.get
    parts = [f"{get('x-waterfall-route', '?')}: {get('x-waterfall-tier', 'unknown tier')}"]
    if get("x-waterfall-escalated") == "true":
        start = str(get("x-waterfall-start", "")).partition(";")[0]
        parts.append(f"escalated from {start} after {get('x-waterfall-attempts')} attempts")
    if get("x-waterfall-degraded") == "true":
        parts.append("degraded")
    parts.append(str(get("x-waterfall-reason", "")))
    if difficulty := get("x-waterfall-difficulty"):
        parts.append(f"difficulty {difficulty}")
    if cost := details.get("cost_usd"):
        parts.append(f"${cost} (${details.get('baseline_usd', '?')} at the baseline)")
    return f"[{'; '.join(part for part in parts if part)}; {seconds:.2f} s]"
