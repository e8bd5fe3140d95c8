"""A user's module of checks: what its functions say, and what they do to whoever runs them."""

import asyncio
import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def ok(request, reply):
    (HERE / "seen").write_text(json.dumps([request, reply]))
    return reply["text"] == "42"


async def awaited(request, reply):
    await asyncio.sleep(0)
    return {"result": "fail"}


def sure(request, reply):
    return 0.65


def half(request, reply):
    return {"result": "pass", "confidence": 0.3}


def silent(request, reply):
    return None


def meddle(request, reply):
    request["messages"][0]["content"] = "meddled with"
    reply["choices"].clear()
    return False


def raises(request, reply):
    raise ValueError("no")


def leaves(request, reply):
    raise SystemExit(3)


async def leaves_later(request, reply):
    await asyncio.sleep(0)
    raise SystemExit(3)


def crashes(request, reply):
    os.kill(os.getpid(), signal.SIGSEGV)


def garbles(request, reply):
    for each in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(each.stat().st_mode):
                os.write(int(each.name), b"[]\n")
    return True


def odd(request, reply):
    return {"result": "perhaps"}


def thing(request, reply):
    return object()


def bulky(request, reply):
    return {"result": "pass", "why": "x" * 100_000}


def vast(request, reply):
    return {"result": "pass", "why": "x" * 2_000_000}


def prints(request, reply):
    sys.stdout.write('{"said": false}\n')
    sys.stdout.flush()
    os.write(1, b'{"said": false}\n')
    sys.stdin.read()
    os.close(0)
    return True


def hang(request, reply):
    while True:
        pass


def backtrack(request, reply):
    return not re.fullmatch("(a+)+b", "a" * 60)


async def hang_awaited(request, reply):
    await asyncio.Event().wait()


async def stubborn(request, reply):
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)


def bears(request, reply):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (HERE / "pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)


def slow(request, reply):
    (HERE / "pids").write_text(str(os.getpid()))
    time.sleep(0.2)
    return True


def greedy(request, reply):
    return len(bytearray(2_000_000_000)) > 0


def hangs_on_x(request, reply):
    while request.get("user") == "x":
        pass
    return os.getpid() > 0


class Model:
    async def __call__(self, request, reply):
        return 0.1


model = Model()
nothing = 3
