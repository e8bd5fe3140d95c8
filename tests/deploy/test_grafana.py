"""Grafana's dashboards: as their code writes them, of metrics that there are, none over another."""

from __future__ import annotations

import json
import re
import runpy
from itertools import combinations

import pytest
import yaml
from deploy.alerting import FOLDER as PROMETHEUS
from deploy.alerting import grouping, selectors

from gateway.sinks.catalogue import CATALOGUE

FOLDER = PROMETHEUS.parent / "grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))
METRICS = {metric.full_name: metric for metric in CATALOGUE}
ASKED_FOR = {"route": ".*", "tier": ".*"}


def panels(path):
    """The panels of a dashboard that show something."""
    return [each for each in json.loads(path.read_text())["panels"] if each["type"] != "row"]


def test_the_files_are_what_their_code_writes():
    made = runpy.run_path(str(FOLDER / "make.py"))["DASHBOARDS"]
    assert {path.stem: json.loads(path.read_text()) for path in FILES} == made
    assert set(made) == {"economics", "routing", "health"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_panels_lie_beside_each_other(path):
    every = json.loads(path.read_text())["panels"]
    assert len({each["id"] for each in every}) == len(every)
    assert len({each["title"] for each in every}) == len(every)
    places = [each["gridPos"] for each in every]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_queries_ask_for_metrics_and_labels_that_there_are(path):
    for panel in panels(path):
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            asked = selectors(target["expr"])
            assert asked, target["expr"]
            labels = set()
            for name, matchers in asked:
                metric = METRICS.get(re.sub(r"_(bucket|count|sum)$", "", name)) or METRICS[name]
                labels |= {*metric.labels, "le"}
                assert {label for label, *_ in matchers} <= set(metric.labels), (panel, name)
            assert grouping(target["expr"]) <= labels, target["expr"]
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_has_its_variables_and_uses_no_other(path):
    text = path.read_text()
    document = json.loads(text)
    names = {each["name"] for each in document["templating"]["list"]}
    assert names == {"source", "route", "tier"}
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__all", "__range", "__rate_interval"}
    assert used == names
    for variable in document["templating"]["list"][1:]:
        asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        name, label = asked.groups()
        assert label in METRICS[name].labels


def test_grafana_is_told_where_they_are():
    (source,) = yaml.safe_load(
        (FOLDER / "provisioning" / "datasources" / "prometheus.yaml").read_text()
    )["datasources"]
    (provider,) = yaml.safe_load(
        (FOLDER / "provisioning" / "dashboards" / "waterfall.yaml").read_text()
    )["providers"]
    assert source["type"] == "prometheus"
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
