"""Every block of the drop-in guides, run by the newest release of the client it is for, each in its
own environment, against a gateway as it is served, with the simulated provider and with llama.cpp.

`WRITE_TABLE=1 pytest -m live tests/live/test_guides.py` writes anew what was run into
docs/compatibility.md; without that the test holds it to what the guides have.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from api.serving import config
from app.serving import Process
from live.environments import environment
from live.test_openai_sdk import UPSTREAM_KEY, llama, simulated

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".cache" / "clients"
GUIDE = (ROOT / "docs" / "guides" / "clients.md").read_text(encoding="utf-8")
TABLE = ROOT / "docs" / "compatibility.md"
LIMIT = 420.0  # seconds: a ceiling for hangs; a first run downloads everything
BLOCK = re.compile(r"<!-- client: (.+?) -->\n```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CASES = {name: (language, code) for name, language, code in BLOCK.findall(GUIDE)}

PYTHON = {
    "openai (Python)": ["openai"],
    "anthropic (Python)": ["anthropic"],
    "langchain-openai": ["langchain-openai", "langchain-tests", "pytest", "pytest-asyncio"],
    "llama-index": ["llama-index-llms-openai-like"],
    "pydantic-ai": ["pydantic-ai-slim[openai]"],
    "instructor": ["instructor"],
    "litellm": ["litellm"],
}
NODE = {
    "openai (Node)": ["openai"],
    "ai (Vercel AI SDK)": ["ai", "@ai-sdk/openai-compatible"],
    "Claude Code": ["@anthropic-ai/claude-code"],
    "Codex": ["@openai/codex"],
}
AGENTS = ("Claude Code", "Codex")
"""Their prompts of thousands of tokens are over the tiny models' window, and they are most of a
gigabyte to fetch: run where the table is written anew, and in test_agents.py."""
WANTED = [*PYTHON, *NODE] if os.environ.get("WRITE_TABLE") else [*PYTHON, *(NODE.keys() - AGENTS)]
QUIET = {
    "NO_COLOR": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}
STANDARD = '''
"""LangChain's own standard tests of a chat model."""
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestThroughTheGateway(ChatModelIntegrationTests):
    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        address = {"base_url": "http://127.0.0.1:8080/v1", "api_key": "sk-anything"}
        return {"model": "waterfall", "temperature": 0, **address}

    @property
    def supports_image_inputs(self):
        return False
'''

TOO_LONG = "none: its prompts are over the tiny models' window"
OTHERS = re.compile(r"ANTHROPIC_|CLAUDE|OPENAI_|CODEX|WATERFALL_KEY")
BOTH = pytest.mark.parametrize("backend", [simulated, llama], ids=lambda each: each.__name__)
pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


def client_of(case):
    return case.partition(",")[0]


def _run(command, **options):
    asked = {"capture_output": True, "text": True, "timeout": LIMIT, **options}
    return subprocess.run(command, check=False, **asked)


def _node(name, packages):
    if shutil.which("npm") is None:
        return "there is no npm"
    home = HOME / re.sub(r"\W+", "-", name)
    if not (home / "ready").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / "package.json").write_text('{"private": true, "type": "module"}')
        latest = [f"{package}@latest" for package in packages]
        done = _run(["npm", "install", "--silent", "--no-audit", "--no-fund", *latest], cwd=home)
        if done.returncode:
            return (done.stderr or done.stdout)[-300:]
        (home / "ready").touch()
    return home


@pytest.fixture(scope="module")
def homes():
    """Every client's environment, or why there is none; made beside each other."""
    with ThreadPoolExecutor(4) as threads:
        made = {
            name: threads.submit(environment, *PYTHON[name])
            if name in PYTHON
            else threads.submit(_node, name, NODE[name])
            for name in WANTED
        }
        made["schemathesis"] = threads.submit(environment, "schemathesis")
        found = {name: future.result() for name, future in made.items()}
    return found | {"curl": HOME if shutil.which("curl") else "there is no curl"}


def version(name, home):
    """The release of a client that was run."""
    if name == "curl":
        return _run(["curl", "--version"]).stdout.split()[1]
    package = (PYTHON.get(name) or NODE[name])[0].partition("[")[0]
    if name in NODE:
        return json.loads((home / "node_modules" / package / "package.json").read_text())["version"]
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return _run([home / "bin" / "python", "-c", code]).stdout.strip()


def command_of(language, home, text, folder):
    if language == "sh":
        return ["bash", "-e", "-c", text], folder
    if language == "python":
        (folder / "block.py").write_text(text)
        return [home / "bin" / "python", "-W", "ignore", folder / "block.py"], folder
    script = home / f"{folder.name}.mjs"  # node looks for packages beside the file
    script.write_text(text)
    return ["node", script], home


def environ_of(home, folder):
    """An environment without anybody's settings or keys, in which a client's commands are found."""
    kept = {name: os.environ[name] for name in os.environ if not OTHERS.match(name)}
    return {
        **kept,
        **QUIET,
        "HOME": str(folder),
        "PATH": f"{home}/node_modules/.bin:{kept['PATH']}",
    }


async def run_blocks(folder, homes, cases, url):
    """Run blocks against a gateway; returns how each went: whether it ended well and said
    something (None where its client is not there), and what it said."""
    done = {}
    limit = asyncio.Semaphore(3)

    async def run(case):
        language, code = CASES[case]
        home = homes[client_of(case)]
        if isinstance(home, str):
            done[case] = (None, home)
            return
        own = folder / re.sub(r"\W+", "-", case)
        own.mkdir(parents=True)
        text = code.replace("http://127.0.0.1:8080", url)
        command, cwd = command_of(language, home, text, own)
        async with limit:
            ended = await asyncio.to_thread(_run, command, cwd=cwd, env=environ_of(home, own))
        said = ended.stdout.strip()
        done[case] = (ended.returncode == 0 and bool(said), said + ended.stderr[-2000:])

    async with asyncio.TaskGroup() as group:
        for case in cases:
            group.create_task(run(case))
    return done


@contextlib.asynccontextmanager
async def gateway_before(backend, folder):
    """A gateway with a provider behind it; yields its process, and the large tier's upstream."""
    async with backend() as (upstreams, (small, large)):
        document = config(upstreams=upstreams)
        # Greedily, a tiny model that may ramble on does the same each time.
        (folder / "greedy.yaml").write_text("version: 1\nparams: {temperature: 0}\n")
        for tier, upstream in (("small", small), ("large", large)):
            document["tiers"][tier] |= {"upstream": upstream, "recipe": "greedy.yaml"}
        async with Process(folder, document) as process:
            await process.ready()
            yield process, upstreams[large]


@pytest.fixture(scope="module")
def ran():
    """The cases that ran well, by what was behind the gateway."""
    return {}


@BOTH
async def test_every_block_runs_as_it_stands(tmp_path, homes, ran, backend):
    tried = [case for case in CASES if client_of(case) in {*WANTED, "curl"}]
    cases = [case for case in tried if backend is simulated or case not in AGENTS]
    async with gateway_before(backend, tmp_path) as (process, _):
        done = await run_blocks(tmp_path, homes, cases, process.url)
    wrong = {case: told for case, (well, told) in done.items() if well is False}
    assert wrong == {}
    missing = {case: told for case, (well, told) in done.items() if well is None}
    if missing and not os.environ.get("WATERFALL_CI"):
        pytest.skip(f"not all clients can be had here: {missing}")
    assert missing == {}
    ran[backend.__name__] = set(done)
    if os.environ.get("WRITE_TABLE") and len(ran) == 2:
        TABLE.write_text(table(homes), encoding="utf-8")


@BOTH
async def test_langchain_s_own_standard_tests_say_the_same_of_both(tmp_path, homes, backend):
    """Some fail of any small model, and of one that chooses no tool on purpose; what passes where
    the upstream itself is asked passes through the gateway."""
    home = homes["langchain-openai"]
    if isinstance(home, str):
        pytest.skip(f"langchain cannot be had here: {home}")
    async with gateway_before(backend, tmp_path) as (process, upstream):
        own = STANDARD.replace("http://127.0.0.1:8080/v1", upstream["base_url"])
        own = own.replace("sk-anything", UPSTREAM_KEY).replace('"waterfall"', '"l-model"')
        ours = STANDARD.replace("http://127.0.0.1:8080", process.url)
        ours = ours.replace('"waterfall"', '"large"')
        direct, through = await asyncio.gather(
            asyncio.to_thread(_standard, home, tmp_path, "direct", own),
            asyncio.to_thread(_standard, home, tmp_path, "through", ours),
        )
    print(f"langchain on {backend.__name__}: {len(direct)} direct, {len(through)} through")  # noqa: T201
    assert len(direct) >= 25
    assert direct - through == set()


def _standard(home, folder, name, text):
    """Run a suite; returns which of its tests pass."""
    suite = folder / f"test_{name}.py"
    suite.write_text(text)
    options = ["-q", "-rA", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]
    loop = ["-o", "asyncio_default_test_loop_scope=session"]
    ended = _run([home / "bin" / "python", "-m", "pytest", *options, *loop, suite], cwd=folder)
    return set(re.findall(r"^PASSED \S+?::(.+)$", ended.stdout, re.MULTILINE))


async def test_the_openapi_document_is_true(tmp_path, homes):
    """Requests made up from the document get no answer that is not in it, and none is a fault."""
    home = homes["schemathesis"]
    if isinstance(home, str):
        pytest.skip(f"schemathesis cannot be had here: {home}")
    async with Process(tmp_path, config(server__docs=True)) as process:
        await process.ready()
        checks = (
            "not_a_server_error,status_code_conformance,content_type_conformance,"
            "response_schema_conformance"
        )
        command = [home / "bin" / "st", "run", f"{process.url}/openapi.json", "--checks", checks]
        bounds = ["--max-examples", "15", "--phases", "examples,coverage,fuzzing", "--no-color"]
        ended = await asyncio.to_thread(_run, [*command, *bounds, "--seed", "7"], cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-1000:]
    generated, passed = re.search(r"(\d+) generated, (\d+) passed", ended.stdout).groups()
    assert int(generated) == int(passed) >= 100


def table(homes):
    """Write docs/compatibility.md."""
    rows = []
    for name, cases in cases_of().items():
        before_llama = TOO_LONG if name in AGENTS else cases
        rows.append(f"| {name} | {version(name, homes[name])} | {cases} | {before_llama} |")
    return (
        "# Compatibility\n\n"
        "Clients that nobody here wrote, their newest releases, each in an environment of its\n"
        "own, run against a gateway over loopback, with the simulated provider and with\n"
        "llama.cpp's own server (two tiny models) behind it. Written by\n"
        "`WRITE_TABLE=1 pytest -m live tests/live/test_guides.py`, which runs every block\n"
        "of the [drop-in guides](guides/clients.md) as it stands; CI runs them with whatever\n"
        "release is newest then, but for the coding agents: `pytest -m slow\n"
        "tests/live/test_agents.py` has them read a file by a tool of their own, as a tier that\n"
        "speaks OpenAI's chat tells them to.\n\n"
        "| client | release | before the simulated provider | before llama.cpp's server |\n"
        "|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def cases_of():
    """Each client's cases, in a line."""
    found = {}
    for case in CASES:
        name, _, what = case.partition(", ")
        found.setdefault(name, []).append(what or "chat")
    return {name: ", ".join(cases) for name, cases in found.items()}


def test_the_table_has_what_the_guides_have():
    row = re.compile(r"^\| (.+?) \| \S+ \| (.+?) \| (.+?) \|$", re.MULTILINE)
    written = row.findall(TABLE.read_text("utf-8"))
    rows = {name: cases for name, *cases in written if name != "client"}
    expected = cases_of().items()
    assert rows == {n: [cases, TOO_LONG if n in AGENTS else cases] for n, cases in expected}
    assert set(rows) == {*PYTHON, *NODE, "curl"}
