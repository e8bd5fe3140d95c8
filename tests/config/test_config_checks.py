"""What the section `checks` comes to: definitions, and what the tiers' bars make of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.config import ConfigError, parse
from gateway.core.check_spec import (
    AgreementCheck,
    CommandCheck,
    JudgeCheck,
    PythonCheck,
    asks_of,
)
from gateway.core.verdict import Bar, CheckSpec
from gateway.prices import open_book

BASE = """\
upstreams: {acme: {base_url: "https://llm.example.com/v1"}}
tiers:
  small: {upstream: acme, model: tiny, price: {input: 1, output: 2}, bar: {%s}}
  large: {upstream: acme, model: huge, price: {input: 3, output: 4}}
  twin: {upstream: acme, model: tiny, price: {input: 5, output: 6}}
routes: {waterfall: {tiers: [small, large]}}
checks: {%s}
"""


def read(bar, checks, folder=Path()):
    return parse(BASE % (bar, checks), "w.yaml", {}, open_book, folder)


def test_a_definition_of_each_kind():
    checks = (
        "second: {kind: agreement, tier: twin, samples: 3, temperature: 0.5, seed: 1, "
        "timeout: 2s, concurrent: true}, "
        "judge: {kind: judge, tier: large, timeout: 1s, prompt: grade, allow_self: true}, "
        'mine: {kind: python, call: "a.b:c", timeout: 10ms}, '
        "tests: {kind: command, run: [cat, -], gives: json, timeout: 1s, cpu: 1s, memory: 1MB, "
        "file_size: 1KB, processes: 3, env: [A]}"
    )
    settings = read("checks: [shape, second, judge, mine, tests], repair: false", checks)
    twin, large = settings.checks["second"].tier, settings.checks["judge"].tier
    assert (twin.name, twin.bar, large.name) == ("twin", Bar(), "large")
    assert settings.checks == {
        "second": AgreementCheck(twin, 3, 0.5, 1, 2.0, concurrent=True),
        "judge": JudgeCheck(large, 1.0, "grade", allow_self=True),
        "mine": PythonCheck("a.b:c", 0.01),
        "tests": CommandCheck(("cat", "-"), 1.0, 1.0, 10**6, 1_000, 3, ("A",), "json"),
    }
    bar = settings.routes["waterfall"].tiers[0].bar
    assert bar.checks == (
        CheckSpec("shape"),
        CheckSpec("second", 0, True, asks_of(settings.checks["second"]), True),
        CheckSpec("judge", 0, True, asks_of(settings.checks["judge"])),
        CheckSpec("mine", waits=True),
        CheckSpec("tests", waits=True),
    )


def test_a_bar_s_own_settings():
    own = "second: {kind: agreement}, third: {kind: agreement, tier: twin}"
    bar = "checks: [format, second, third], repair: true, at_once: true"
    bar = read(bar, own).tiers["small"].bar
    assert (bar.repair, bar.at_once) == (True, True)


def test_another_definition_is_another_configuration():
    digests = {
        read("", f"second: {{kind: agreement, samples: {samples}}}").digest for samples in (1, 2)
    }
    assert len(digests) == 2


@pytest.mark.parametrize("tier", ["small", "twin"])
def test_a_model_does_not_judge_itself(tier):
    judge = f"grader: {{kind: judge, tier: {tier}%s}}"
    with pytest.raises(ConfigError, match=r"checks\[1\]: grader asks the model that wrote the rep"):
        read("checks: [shape, grader]", judge % "")
    assert read("checks: [shape, grader]", judge % ", allow_self: true").checks


def test_the_same_again_is_warned_of():
    bar = "checks: [second]"
    (told,) = read(bar, "second: {kind: agreement, temperature: 0}").warnings
    assert told == "w.yaml: checks.second.temperature: the same model at 0 says the same again"
    assert read(bar, "second: {kind: agreement, temperature: 0, tier: large}").warnings == ()
    assert read(bar, "second: {kind: agreement, temperature: off}").warnings == ()


def test_a_check_that_no_bar_names_is_warned_of():
    (told,) = read("", "second: {kind: agreement}").warnings
    assert told == "w.yaml: checks.second: no tier's bar names it"


def test_a_program_s_path_is_from_the_file_s_folder(tmp_path):
    program = tmp_path / "check.sh"
    program.write_text("#!/bin/sh\n")
    line = "tests: {kind: command, run: [./check.sh]}"
    with pytest.raises(ConfigError, match="cannot be run: it is not executable"):
        read("", line, tmp_path)
    program.chmod(0o755)
    settings = read("", line, tmp_path)
    assert settings.checks["tests"].run == (str(program.resolve()),)
    assert program in settings.files
    assert read("", f"tests: {{kind: command, run: [{sys.executable}]}}", tmp_path).checks
