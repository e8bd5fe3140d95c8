"""One llama.cpp server of one GGUF file in a child process that cannot outlive its parent.

    async with serve_model(path, "small", "sk-demo") as base_url:
        ...

The child runs this module as a program. It says on its standard output, in one JSON line, where
it listens or why it cannot; and it watches its standard input, which ends when the parent ends,
however the parent ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

CONTEXT: Final = 1024
"""Tokens that each of the server's parallel chats may hold."""
PARALLEL: Final = 4
READY_WITHIN: Final = 30.0
STOPPED_WITHIN: Final = 3.0
_LOCALHOST: Final = "127.0.0.1"
_MODULE: Final = "gateway.demo.llama"
_KEY_VARIABLE: Final = "WATERFALL_DEMO_KEY"


class ModelNotServed(RuntimeError):
    """The model's server could not be started; the message says why and what to do."""


@contextlib.asynccontextmanager
async def serve_model(
    path: Path, alias: str, api_key: str, *, show_log: bool = False
) -> AsyncIterator[str]:
    """Serves the GGUF file at `path` as model `alias` and yields the base URL, `.../v1`.

    Raises ModelNotServed when there is no such file, when xllamacpp is missing, or when the
    server is not healthy within 30 s. The server is gone when the block is left.
    """
    if not path.is_file():  # noqa: ASYNC240 - one stat of a local file, once
        raise ModelNotServed(f"there is no model file {path}")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", _MODULE, str(path), alias),
        *(("--show-log",) if show_log else ()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # By the environment: a command line can be read by every user of the machine.
        env={**os.environ, _KEY_VARIABLE: api_key},
    )
    try:
        yield f"{await _address(child, path)}/v1"
    finally:
        await _stop(child)


async def _address(child: asyncio.subprocess.Process, path: Path) -> str:
    """The address that the child reports once it is healthy."""
    if child.stdout is None:
        raise ModelNotServed("the server's process has no output to read")
    try:
        async with asyncio.timeout(READY_WITHIN):
            line = await child.stdout.readline()
    except TimeoutError:
        raise ModelNotServed(f"{path.name} was not served within {READY_WITHIN:.0f} s") from None
    report = json.loads(line) if line else {"error": "its process ended without a word"}
    if "error" in report:
        raise ModelNotServed(f"{path.name} is not served: {report['error']}")
    return str(report["address"])


async def _stop(child: asyncio.subprocess.Process) -> None:
    """Ends the child and waits until it is gone, also when the waiting is cancelled."""
    if child.stdin is not None:
        child.stdin.close()
    await asyncio.shield(_gone(child))


async def _gone(child: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(STOPPED_WITHIN):
            await child.wait()
    except TimeoutError:
        # Not the first means: kill() of a child that has just ended reaps it behind asyncio's back.
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


# ------------------------------------------------------------------------------- in the child


def main() -> None:
    """The child: `python -m gateway.demo.llama MODEL.gguf ALIAS [--show-log]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("alias")
    parser.add_argument("--show-log", action="store_true")
    given = parser.parse_args()
    report = _own_output(show_log=given.show_log)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        server = _start(given.path, given.alias, os.environ.get(_KEY_VARIABLE, ""))
    except ModuleNotFoundError:
        _say(report, error='xllamacpp is missing; pip install "waterfall-gateway[demo]"')
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must be told
        _say(report, error=f"{type(error).__name__}: {error}")
        os._exit(1)
    _say(report, address=server.listening_address)
    threading.Event().wait()


def _own_output(*, show_log: bool) -> int:
    """A descriptor for our own report; the server's output goes to stderr, or nowhere."""
    report = os.dup(1)
    log = 2 if show_log else os.open(os.devnull, os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    return report


def _say(report: int, **what: str) -> None:
    os.write(report, json.dumps(what).encode() + b"\n")


def _end_with_parent() -> None:
    # The pipe ends with the last process that holds its other end: the parent alone.
    while os.read(0, 4096):
        pass
    os._exit(0)


def _start(path: str, alias: str, api_key: str) -> Any:
    """The running server; its constructor returns when the model is loaded and it listens."""
    import xllamacpp  # the parent must not need it

    wanted: Mapping[str, Any] = {
        "port": 0,  # any free one
        "hostnames": [_LOCALHOST],
        "model_alias": {alias},
        "api_keys": [api_key] if api_key else [],
        "n_ctx": CONTEXT * PARALLEL,
        "n_parallel": PARALLEL,
        "n_threads_http": 2 * PARALLEL,
        "n_gpu_layers": 0,
        "warmup": False,
        "use_jinja": True,
        "endpoint_metrics": True,
    }
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    for name, value in wanted.items():
        setattr(params, name, value)
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
