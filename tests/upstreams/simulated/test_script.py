"""Scripts: how faults are written down, and which requests they happen to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstreams.simulated import Fault, Rule, parse_rules, read_rules
from gateway.upstreams.simulated.faults import _SPOIL
from gateway.upstreams.simulated.script import FAULTS, REPLY_FAULTS, Director


def test_every_fault_is_known_to_somebody():
    assert set(_SPOIL) | REPLY_FAULTS == set(FAULTS)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stall,after=3", Fault("stall", after=3)),
        ("fault=stall, after=3", Fault("stall", after=3)),
        ("429,retry_after=7", Fault("status", status=429, retry_after="7")),
        ("status=503", Fault("status", status=503)),
        ("slow_first,seconds=0.5", Fault("slow_first", seconds=0.5)),
        ("huge,size=2", Fault("huge", size=2.0)),
    ],
)
def test_a_fault_is_read(text, fault):
    assert Fault.read(text) == fault


@pytest.mark.parametrize("text", ["", "nothing", "stall,often=3", "stall,after=x", "after=3"])
def test_a_fault_that_is_none_is_refused(text):
    with pytest.raises(ValueError):
        Fault.read(text)


def _fates(script, *requests, seed=0):
    director = Director(seed, read_rules(script))
    return [fault and fault.kind for fault in (director.fault(*each) for each in requests)]


def test_rules_look_at_model_and_prompt():
    script = [
        {"fault": "cut,after=2", "model": "small", "contains": "river"},
        {"fault": "hang", "contains": "stone"},
    ]
    fates = _fates(
        script, ("small", "a river"), ("large", "a river"), ("small", "x"), ("l", "stone")
    )
    assert fates == ["cut", None, None, "hang"]


def test_a_sequence_is_told_in_its_order():
    assert _fates(["ok", "503", "cut"], *[("m", "p")] * 4) == [None, "status", "cut", None]


def test_places_count_only_the_requests_that_a_rule_is_about():
    script = [{"fault": "reset", "model": "small", "on": [1]}]
    requests = [("small", "p"), ("large", "p"), ("small", "p"), ("small", "p")]
    assert _fates(script, *requests) == [None, None, "reset", None]


@given(st.integers(), st.floats(0, 1))
def test_chance_is_seeded(seed, chance):
    script = [{"fault": "cut", "chance": chance}]
    requests = [("m", "p")] * 20
    assert _fates(script, *requests, seed=seed) == _fates(script, *requests, seed=seed)


def test_chance_is_about_what_it_says():
    fates = _fates([{"fault": "cut", "chance": 0.3}], *[("m", "p")] * 2000)
    assert 500 < fates.count("cut") < 700


def test_a_request_s_own_word_goes_first():
    director = Director(0, (Rule(Fault("hang")),))
    assert director.fault("m", "p", "cut,after=1") == Fault("cut", after=1)
    assert director.fault("m", "p", "ok") is None
    assert director.fault("m", "p", {"m": "html"}) == Fault("html")
    assert director.fault("m", "p", {"other": "html"}) == Fault("hang")
    with pytest.raises(ValueError, match="no fault"):
        director.fault("m", "p", "gremlin")


@pytest.mark.parametrize(
    "text", ["{}", '[{"model": "m"}]', '[{"fault": "cut", "often": 1}]', "[3]", "[", '["gremlin"]']
)
def test_a_script_that_is_none_is_refused(text):
    with pytest.raises(ValueError):
        parse_rules(text)
