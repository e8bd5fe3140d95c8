"""The floors and rooms, read from the source: who may import whom, and where each library lives."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gateway
import router_models

REPOSITORY = Path(__file__).parent.parent
GATEWAY = Path(gateway.__file__).parent
WORKSHOP = Path(router_models.__file__).parent
SIZE_LIMIT = 320

# Third-party libraries and sqlite3, each with the rooms of gateway/ that may import it.
HOMES = {
    "fastapi": "api app launcher",
    "duckdb": "store",
    "h2": "upstreams",
    "httptools": "upstreams",
    "httpx": "cli demo upstreams",
    "jsonschema": "checks",
    "litellm": "upstreams",
    "numpy": "scorers",
    "opentelemetry": "sinks",
    "orjson": "api cli demo dialects launcher prices shared sinks store upstreams waiting",
    "prometheus_client": "api sinks",
    "psycopg": "store",
    "pyarrow": "store",
    "pydantic": "config prices",
    "referencing": "checks",
    "rich": "cli demo",
    "redis": "shared",
    "sqlite3": "shared store",
    "starlette": "api app",
    "uvicorn": "cli launcher",
    "uvloop": "launcher upstreams",
    "xllamacpp": "cli demo",
    "yaml": "cli config prices",
}

# The demo's models are trained on its questions and measured on the server that it runs; a team's
# own scorer on what its ledger holds.
WORKSHOP_MAY_USE = (
    "gateway.core",
    "gateway.checks.answers",
    "gateway.checks.reckoning",
    "gateway.scorers",
    "gateway.prices",
    "gateway.demo.question_facts",
    "gateway.demo.questions",
    "gateway.demo.llama",
    "gateway.store.blocks",
    "gateway.store.connection",
    "gateway.store.doubts",
    "gateway.store.glance",
    "gateway.store.histories",
    "gateway.store.read",
    "gateway.store.recorded",
    "gateway.store.rollup_tables",
    "gateway.store.rollups",
    "gateway.store.sample",
    "gateway.store.totals",
    "gateway.store.training",
)
# Its commands read the same configuration and ledger as the gateway's own.
COMMANDS_MAY_USE = (
    *WORKSHOP_MAY_USE,
    "gateway.app",
    "gateway.config",
    "gateway.scoring",
    "gateway.store.archive",
)


def _sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def _imports(path: Path) -> set[str]:
    """Every absolute module name that a file imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _room(path: Path) -> str:
    return path.relative_to(GATEWAY).parts[0].removesuffix(".py")


def _is_under(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _strangers(path: Path) -> list[str]:
    """The libraries that this file imports and that have no home in its room."""
    tops = {name.partition(".")[0] for name in _imports(path)} - {"gateway"}
    outside = {top for top in tops if top in HOMES or top not in sys.stdlib_module_names}
    return sorted(top for top in outside if _room(path) not in HOMES.get(top, "").split())


def test_each_library_stays_at_home():
    lost = {str(path.relative_to(GATEWAY)): _strangers(path) for path in _sources(GATEWAY)}
    assert {path: names for path, names in lost.items() if names} == {}


def test_the_core_is_pure():
    """No library, nothing above it, no await, no clock, no files, no chance."""
    impure = {"asyncio", "datetime", "os", "pathlib", "random", "secrets", "socket", "threading"}
    for path in _sources(GATEWAY / "core"):
        names = _imports(path)
        tops = {name.partition(".")[0] for name in names}
        assert not tops & impure, f"{path.name} imports {tops & impure}"
        assert not {name for name in names if name.startswith("time.")}, path.name
        assert "time" not in tops, path.name
        upstairs = {n for n in names if n.startswith("gateway.") and not _is_core(n)}
        assert not upstairs, f"{path.name} imports {upstairs}"
        awaits = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, AWAITS)]
        assert not awaits, f"{path.name} awaits"


AWAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)


def _is_core(name: str) -> bool:
    return _is_under(name, ("gateway.core",))


def test_the_core_s_tests_need_no_event_loop():
    for path in _sources(REPOSITORY / "tests" / "core"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        loops = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
        assert not loops, f"{path.name} has an async test"


def test_the_gateway_does_not_need_the_workshop():
    for path in _sources(GATEWAY):
        assert not {name for name in _imports(path) if _is_under(name, ("router_models",))}, path


def test_the_workshop_uses_only_the_lower_floors():
    for path in _sources(WORKSHOP):
        used = {name for name in _imports(path) if _is_under(name, ("gateway",))}
        command = path.parent.name == "commands"
        allowed = COMMANDS_MAY_USE if command else WORKSHOP_MAY_USE
        upstairs = {name for name in used if not _is_under(name, allowed)}
        assert not upstairs, f"{path.relative_to(WORKSHOP)} imports {upstairs}"


@pytest.mark.parametrize(
    "folder",
    [GATEWAY, WORKSHOP, REPOSITORY / "tests", REPOSITORY / "loadtests"],
    ids=lambda folder: folder.name,
)
def test_every_file_fits_its_room(folder: Path):
    sizes = {path: len(path.read_bytes().splitlines()) for path in _sources(folder)}
    assert {path.name: size for path, size in sizes.items() if size > SIZE_LIMIT} == {}


@pytest.mark.parametrize("folder", [GATEWAY, WORKSHOP], ids=lambda p: p.name)
def test_every_file_says_what_it_is_for(folder: Path):
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _sources(folder)}
    assert [path.name for path, tree in trees.items() if not ast.get_docstring(tree)] == []


COMMANDS = sorted(path.stem for path in (WORKSHOP / "commands").glob("[!_]*.py"))


SHARED = {"common", "edit", "ground", "payback_file", "replay_ledger", "tune_rows"}


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - SHARED))
def test_a_command_of_the_workshop_costs_nothing_until_it_is_run(name: str):
    heavy = "{'gateway.app', 'matplotlib', 'numpy', 'pyarrow', 'rich', 'sklearn', 'yaml'}"
    module = f"router_models.commands.{name}"
    command = [sys.executable, "-c", f"import {module}, sys; print({heavy} & set(sys.modules))"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


@pytest.mark.parametrize("module", ["gateway", "gateway.app", "gateway.cli"])
def test_importing_it_stays_light(module: str):
    heavy = "{'litellm', 'opentelemetry.sdk', 'sklearn', 'scipy', 'xllamacpp'}"
    command = [sys.executable, "-c", f"import {module}, sys; print({heavy} & set(sys.modules))"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")
