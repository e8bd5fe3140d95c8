"""What is there to deploy with: sound in itself, and what the gateway knows."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
import yaml

from gateway.app import read_settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
EXAMPLE = dict(
    line.split("=", 1)
    for line in (DEPLOY / "compose" / "example.env").read_text().splitlines()
    if line and not line.startswith("#")
)
KUBERNETES = {
    f"{each['kind']}/{each['metadata']['name']}": each
    for path in (DEPLOY / "kubernetes").glob("*.yaml")
    for each in yaml.safe_load_all(path.read_text())
    if "kind" in each and each["kind"] != "Kustomization"
}


def test_compose_has_all_of_it():
    wanted = {"gateway", "postgres", "redis", "prometheus", "alertmanager", "grafana"}
    assert set(SERVICES) == wanted


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_and_finds_what_it_mounts(name):
    service = SERVICES[name]
    if "build" not in service:
        assert re.search(r":v?\d+(\.\d+)*(-alpine)?$", service["image"])
    for mount in service.get("volumes", ()):
        source = mount.split(":")[0]
        known = (
            (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
        )
        assert known, mount
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert service["restart"] == "unless-stopped"
    waited_for = service.get("depends_on", {})
    assert set(waited_for) <= set(SERVICES)
    for other in waited_for if isinstance(waited_for, dict) else ():
        assert "healthcheck" in SERVICES[other]
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])


def test_every_variable_that_compose_wants_is_in_the_example():
    text = (DEPLOY / "compose.yaml").read_text()
    wanted = set(re.findall(r"\$\{(\w+)", text))
    assert wanted == set(EXAMPLE)


def test_the_gateway_of_compose_is_configured_soundly():
    given = SERVICES["gateway"]["environment"]
    environ = EXAMPLE | {"WATERFALL_LEDGER": _filled_in(given["WATERFALL_LEDGER"])}
    settings = read_settings(DEPLOY / "compose" / "waterfall.yaml", environ)
    assert str(settings.ledger.place) == "postgresql://waterfall@postgres:5432/waterfall"
    assert settings.ledger.spool == DEPLOY / "compose" / "spool"
    assert settings.server.admin == ("0.0.0.0", 9090)
    assert SERVICES["gateway"]["read_only"]
    assert "spool:/var/lib/waterfall/spool" in SERVICES["gateway"]["volumes"]


def _filled_in(text):
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: EXAMPLE[found[1]], text)


def test_the_example_s_client_key_is_the_one_it_says():
    import hashlib

    text = (DEPLOY / "compose" / "example.env").read_text()
    (key,) = re.findall(r"Of the key `([^`]+)`", text)
    assert (
        EXAMPLE["WATERFALL_CLIENT_KEY_HASH"] == f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    )


def test_prometheus_and_grafana_find_each_other():
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = prometheus["scrape_configs"]
    (managers,) = prometheus["alerting"]["alertmanagers"]
    targets = [*job["static_configs"][0]["targets"], *managers["static_configs"][0]["targets"]]
    assert {target.split(":")[0] for target in targets} == {"gateway", "alertmanager"}
    assert job["authorization"]["credentials_file"] == "/run/secrets/admin_key"
    for name in prometheus["rule_files"]:
        assert f"./prometheus/{name}:/etc/prometheus/{name}:ro" in SERVICES["prometheus"]["volumes"]
    sources = DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yaml"
    (source,) = yaml.safe_load(sources.read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "./grafana/dashboards:/etc/grafana/dashboards:ro" in SERVICES["grafana"]["volumes"]
    alerts = yaml.safe_load((DEPLOY / "prometheus" / "alertmanager.yml").read_text())
    named = {alerts["route"]["receiver"], *(each["receiver"] for each in alerts["route"]["routes"])}
    assert named == {each["name"] for each in alerts["receivers"]}


def test_the_image_s_user_owns_what_compose_mounts_a_volume_on():
    text = (DEPLOY / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (\d+:\d+)$", text, re.MULTILINE)
    owner, group = user.split(":")
    made = re.findall(rf"^RUN install -d -o {owner} -g {group} (.+)$", text, re.MULTILINE)
    mounts = [mount.split(":") for mount in SERVICES["gateway"]["volumes"]]
    volumes = {target for source, target, *_ in mounts if source in COMPOSE["volumes"]}
    assert volumes
    assert volumes <= {folder for line in made for folder in line.split()}


def test_the_commands_of_the_docs_make_every_secret_that_kubernetes_wants():
    (container,) = KUBERNETES["Deployment/waterfall"]["spec"]["template"]["spec"]["containers"]
    wanted = {each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each}
    variables = set()
    for name in ("waterfall.yaml", "deployment.yaml"):
        text = (DEPLOY / "kubernetes" / name).read_text()
        variables |= set(re.findall(r"(?m)^[^#\n]*\$\{(\w+)", text))
    for path in (ROOT / "docs" / "deploy.md", DEPLOY / "kubernetes" / "kustomization.yaml"):
        text = path.read_text()
        assert set(re.findall(r"create secret generic (\S+)", text)) == wanted, path
        assert variables <= set(re.findall(r"--from-literal=(\w+)=", text)), path


def test_kubernetes_runs_it_with_as_few_rights_as_it_needs():
    spec = KUBERNETES["Deployment/waterfall"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["automountServiceAccountToken"] is False
    own = container["securityContext"]
    assert (own["readOnlyRootFilesystem"], own["allowPrivilegeEscalation"]) == (True, False)
    assert own["capabilities"] == {"drop": ["ALL"]}
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == {each["name"] for each in spec["volumes"]}
    probes = {container[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness")}
    assert probes == {"/health/live", "/health/ready"}
    assert container["resources"]["limits"]["memory"]


def test_kubernetes_selects_the_pods_that_it_makes():
    labels = KUBERNETES["Deployment/waterfall"]["spec"]["template"]["metadata"]["labels"]
    ports = {
        each["name"]
        for each in KUBERNETES["Deployment/waterfall"]["spec"]["template"]["spec"]["containers"][0][
            "ports"
        ]
    }
    for name in ("Service/waterfall", "Service/waterfall-admin"):
        assert KUBERNETES[name]["spec"]["selector"] == labels
        assert {port["targetPort"] for port in KUBERNETES[name]["spec"]["ports"]} <= ports
    for name in ("PodDisruptionBudget/waterfall", "Deployment/waterfall"):
        assert KUBERNETES[name]["spec"]["selector"]["matchLabels"] == labels
    grace = KUBERNETES["Deployment/waterfall"]["spec"]["template"]["spec"]
    environ = dict.fromkeys(("WATERFALL_ADMIN_KEY", "OPENAI_API_KEY"), "k" * 20)
    environ |= {"WATERFALL_CLIENT_KEY_HASH": "sha256:" + "0" * 64}
    environ |= {"WATERFALL_LEDGER": "postgresql://w@db/waterfall"}
    settings = read_settings(DEPLOY / "kubernetes" / "waterfall.yaml", environ)
    assert settings.server.workers == 1
    assert settings.server.drain + 25 <= grace["terminationGracePeriodSeconds"]


def test_the_unit_s_command_is_one_and_it_waits_for_the_drain():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string((DEPLOY / "systemd" / "waterfall.service").read_text())
    service = unit["Service"]
    assert service["ExecStart"].split()[:3] == ["/opt/waterfall/bin/waterfall", "serve", "--config"]
    assert service["NoNewPrivileges"] == service["DynamicUser"] == "yes"
    assert int(service["TimeoutStopSec"]) >= 30 + 15


def test_the_image_has_a_check_labels_and_may_be_read_only():
    text = (DEPLOY / "Dockerfile").read_text()
    assert "HEALTHCHECK" in text
    assert "/health/live" in text
    for label in ("title", "description", "version", "licenses"):
        assert f"org.opencontainers.image.{label}" in text
    assert "--read-only --tmpfs /tmp" in text
    assert "PYTHONDONTWRITEBYTECODE=1" in text
    for library in ("psycopg", "redis"):
        assert re.search(rf"^{library}==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
