"""Rules and alerts hold to the catalogue, their tests leave none out, and each has its runbook."""

from __future__ import annotations

import re

import pytest
import yaml
from deploy.alerting import DOCS, TESTS, alerts, grouping, recorded, rules, selectors
from prometheus_client.utils import floatToGoString
from sample_entries import ROUTE

from gateway.sinks.catalogue import CATALOGUE
from gateway.sinks.ledger_figures import FIGURES
from gateway.sinks.metrics import Metrics
from gateway.sinks.names import OUTCOMES, STATUSES

METRICS = {metric.full_name: metric for metric in CATALOGUE}
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum")}
# Words that a label may have, where they are a fixed list.
WORDS = {("requests_total", "outcome"): OUTCOMES, ("attempts_total", "outcome"): STATUSES}


def known(name):
    """The metric of a name in an expression, be it a histogram's part."""
    for full, metric in METRICS.items():
        if name in {full + suffix for suffix in SUFFIXES.get(metric.kind, ("",))}:
            return metric
    return None


def labels_of(name):
    """What labels a metric, or a recorded figure, may have."""
    metric = known(name)
    if metric is not None:
        return {*metric.labels, "instance", "job"}
    (rule,) = [rule for rule in recorded() if rule["record"] == name]
    return set().union(*(labels_of(each) for each, _ in selectors(rule["expr"])))


def title(rule):
    return rule.get("record") or rule["alert"]


@pytest.mark.parametrize("rule", rules(), ids=title)
def test_a_rule_names_what_there_is(rule):
    names = {each["record"] for each in recorded()}
    found = selectors(rule["expr"])
    assert found, "a rule about nothing"
    for name, matchers in found:
        metric = known(name)
        assert metric is not None or name in names, name
        allowed = labels_of(name) | ({"le"} if name.endswith("_bucket") else set())
        assert {label for label, _, _ in matchers} <= allowed, name
        for label, _, value in matchers:
            words = WORDS.get((metric.name if metric else "", label))
            assert words is None or set(value.split("|")) <= set(words), value
    assert grouping(rule["expr"]) <= set().union(*(labels_of(name) for name, _ in found))


@pytest.mark.parametrize("rule", rules(), ids=title)
def test_an_objective_lies_on_a_boundary(rule):
    """Elsewhere there is no such bucket, and the alert would watch nothing."""
    for name, matchers in selectors(rule["expr"]):
        for label, _, value in matchers:
            if label == "le":
                assert value in map(floatToGoString, known(name).buckets), (name, value)


@pytest.mark.parametrize("rule", alerts(), ids=title)
def test_an_alert_says_how_urgent_it_is_and_where_to_read_on(rule):
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_a_counter_whose_first_rise_alarms_is_there_from_the_start():
    """A counter that first appears as 1 has not risen, says `increase`."""
    figures = dict.fromkeys(FIGURES, 0.0)
    page = Metrics([ROUTE], {}, lambda: figures).render().decode()
    for rule in alerts():
        expression = " ".join(rule["expr"].split())
        if "increase(" not in expression or not expression.endswith(") > 0"):
            continue
        for name, matchers in selectors(expression):
            lines = [line for line in page.splitlines() if line.startswith(name)]
            for label, _, value in matchers:
                wanted = [f'{label}="{word}"' for word in value.split("|")]
                lines = [line for line in lines if any(each in line for each in wanted)]
            assert lines, rule["alert"]
            assert all(line.endswith(" 0.0") for line in lines)


def test_every_alert_has_its_paragraph_and_every_paragraph_its_alert():
    told = re.findall(r"^### (\w+)$", (DOCS / "alerts.md").read_text(), re.MULTILINE)
    assert told == [rule["alert"] for rule in alerts()]


def test_every_alert_is_tried_firing_and_quiet_and_every_figure_is_computed():
    tests = yaml.safe_load(TESTS.read_text())["tests"]
    tried = [each for test in tests for each in test.get("alert_rule_test", ())]
    fires = {each["alertname"] for each in tried if each["exp_alerts"]}
    quiet = {each["alertname"] for each in tried if not each["exp_alerts"]}
    names = {rule["alert"] for rule in alerts()}
    assert fires == quiet == names
    sums = [each["expr"] for test in tests for each in test.get("promql_expr_test", ())]
    for rule in recorded():
        used = [rule["record"] in text for text in (*sums, *(each["expr"] for each in rules()))]
        assert any(used), rule["record"]


def test_the_synthetic_series_are_such_as_the_gateway_exports():
    """A test of a series that nobody exports would prove nothing."""
    tests = yaml.safe_load(TESTS.read_text())["tests"]
    for test in tests:
        for series in test["input_series"]:
            if series["series"] == "up":
                continue
            ((name, matchers),) = selectors(series["series"])
            metric = known(name)
            assert metric is not None, name
            given = {label for label, _, _ in matchers} - {"instance", "le"}
            if metric.full_name == "waterfall_build_info":
                assert given <= set(metric.labels)
            else:
                assert given == set(metric.labels), series
