"""Sets the demo's stage: its folder, its two model servers, its gateway's configuration."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from gateway.app import read_settings
from gateway.config import Settings
from gateway.demo.llama import serve_model
from gateway.demo.questions import Question
from gateway.scoring import ARTEFACTS
from gateway.upstreams.simulated import Accuracy, Answer, Behaviour, Model, Pace, serve_simulated

FOLDER = Path("waterfall-demo")
SCORER = ARTEFACTS / "demo" / "scorer"
RECIPES = ARTEFACTS.parent / "recipes" / "demo"
TEMPLATE = Path(__file__).with_name("waterfall.yaml")
PLAIN, BETTER = "plain.yaml", "steps.yaml"
_OURS = ".made-by-waterfall-demo"
_PORT, _ADMIN = 8080, 9090
_PRETENDED = {"threshold: 0.8": "threshold: 0.54", "accept: 0.8,": "accept: 0.84,"}
"""What `gateway.demo.tune --simulated` chooses in place of the real pair's figures."""


@contextlib.contextmanager
def fresh_folder(*, simulated: bool) -> Iterator[Path]:
    """Hold the demo's folder, made anew; never empties one that a demo has not made, or is using.

    Raises RuntimeError when something else is there, or another demo.
    """
    mark = FOLDER / _OURS
    if (FOLDER.exists() or FOLDER.is_symlink()) and not mark.is_file():
        raise RuntimeError(f"{FOLDER}/ is here already, and no demo made it: move it away.")
    FOLDER.mkdir(exist_ok=True)
    with mark.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            message = f"Another demo serves from {FOLDER}/: stop it, or start this one elsewhere."
            raise RuntimeError(message) from None
        _fill(simulated=simulated)
        yield FOLDER


def _fill(*, simulated: bool) -> None:
    for old in FOLDER.iterdir():
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        elif old.name != _OURS:
            old.unlink()
    (FOLDER / "recipes").mkdir()
    policy = TEMPLATE.read_text(encoding="utf-8")
    for ours, theirs in _PRETENDED.items() if simulated else ():
        if ours not in policy:
            raise RuntimeError(f"{TEMPLATE.name} no longer says {ours!r}")
        policy = policy.replace(ours, theirs)
    (FOLDER / "waterfall.yaml").write_text(policy, encoding="utf-8")
    use_recipe(PLAIN)


def use_recipe(name: str) -> None:
    """Put a recipe in the small tier's place, whole at once."""
    target = FOLDER / "recipes" / "small.yaml"
    beside = target.with_suffix(".new")
    shutil.copy(RECIPES / name, beside)
    beside.replace(target)


def settings(small: str, large: str, key: str) -> Settings:
    """Load the demo's configuration, for these upstreams and for ports that are free."""
    os.environ.update(
        WATERFALL_DEMO_SMALL=small,
        WATERFALL_DEMO_LARGE=large,
        WATERFALL_DEMO_KEY=key,
        WATERFALL_DEMO_SCORER=str(SCORER),
        WATERFALL_DEMO_PORT=str(_free(_PORT)),
        WATERFALL_DEMO_ADMIN=f"127.0.0.1:{_free(_ADMIN)}",
    )
    return read_settings(FOLDER / "waterfall.yaml")


def current() -> Settings:
    """Load the configuration that is in force now."""
    return read_settings(FOLDER / "waterfall.yaml")


def _free(port: int) -> int:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def models(
    *, simulated: bool, questions: Sequence[Question]
) -> AsyncIterator[tuple[str, str, str]]:
    """Serve both models; yields the small one's base URL, the large one's, and their key."""
    key = secrets.token_urlsafe(16)
    if simulated:
        behaviour = pretence(questions)
        async with serve_simulated(behaviour, key=key) as server:
            base_url = f"http://127.0.0.1:{server.port}/v1"
            yield base_url, base_url, key
        return
    folder = ARTEFACTS / "demo"
    async with (
        serve_model(folder / "small.gguf", "small", key) as small,
        serve_model(folder / "large.gguf", "large", key) as large,
    ):
        yield small, large, key


def pretence(questions: Sequence[Question]) -> Behaviour:
    """Describe two simulated models that know the questions about as well as the real pair."""
    better = (RECIPES / BETTER).read_text(encoding="utf-8")
    coaching = better.partition('before: "')[2].partition('"')[0]
    pace = Pace(0.004, 0.3, 0.0005, 0.3)
    small = Model(Accuracy(0.99, 0.29), coached=((coaching, Accuracy(0.99, 0.54)),), pace=pace)
    large = Model(Accuracy(0.95, 0.94), pace=Pace(0.008, 0.3, 0.001, 0.3))
    answers = {each.prompt: Answer(each.answer, each.hard) for each in questions}
    return Behaviour(seed=1, models={"small": small, "large": large}, answers=answers)
