from __future__ import annotations

import pytest

from gateway.core import arrival, errors
from gateway.core.errors import (
    Exhausted,
    GatewayError,
    UpstreamBusy,
    UpstreamDown,
    UpstreamOverloaded,
    UpstreamRefusedUs,
    UpstreamRejected,
    UpstreamTimeout,
)

KINDS = [
    each
    for each in (vars(errors) | vars(arrival)).values()
    if isinstance(each, type) and issubclass(each, GatewayError) and each is not Exhausted
]
RETRIED = {"rate_limit_error", "overloaded"}
BUSY, SOONER = UpstreamBusy("b", retry_after=7.0), UpstreamBusy("b", retry_after=3.0)
FULL, SLOW, DOWN = UpstreamOverloaded("o", retry_after=2.0), UpstreamTimeout("t"), UpstreamDown("d")


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_openai_s_shape(kind):
    error = kind("What was wrong.")
    body = error.body()["error"]
    assert set(body) == {"message", "type", "param", "code"}
    assert (body["message"], str(error)) == ("What was wrong.", "What was wrong.")
    assert 400 <= error.status < 600
    assert (error.status == 429) == (error.type in {"rate_limit_error", "insufficient_quota"})


def test_an_error_names_its_field_its_code_and_the_wait():
    error = GatewayError("no", param="n", code="odd", retry_after=1.5)
    assert error.body()["error"]["param"] == "n"
    assert (error.body()["error"]["code"], error.retry_after) == ("odd", 1.5)


def test_a_rejection_keeps_the_upstream_s_words():
    error = UpstreamRejected("no", status=422, param="tools", code="bad_tool")
    assert (error.status, error.param, error.code) == (422, "tools", "bad_tool")


def test_down_says_in_which_way():
    assert (UpstreamDown("x").kind, UpstreamDown("x", kind="server").kind) == ("connect", "server")


@pytest.mark.parametrize(
    ("failures", "status", "kind", "wait"),
    [
        ([SLOW, SLOW], 504, "timeout", None),
        ([BUSY, SOONER], 429, "rate_limit_error", 3.0),
        ([UpstreamBusy("b")], 429, "rate_limit_error", 1.0),
        ([DOWN, FULL], 503, "overloaded", 2.0),
        ([UpstreamOverloaded("o")], 503, "overloaded", 1.0),
        ([BUSY, DOWN], 502, "upstream_error", None),
        ([SLOW, DOWN], 502, "upstream_error", None),
    ],
)
def test_exhausted_tells_what_helps_most(failures, status, kind, wait):
    error = Exhausted([(f"tier-{n}", each) for n, each in enumerate(failures)])
    assert (error.status, error.type, error.retry_after) == (status, kind, wait)


@pytest.mark.parametrize(
    ("failures", "code"),
    [
        ([UpstreamBusy("b", code="insufficient_quota")], "insufficient_quota"),
        ([UpstreamBusy("b", code="x"), UpstreamBusy("b", code="x")], "x"),
        ([UpstreamBusy("b", code="x"), UpstreamBusy("b", code="y")], "exhausted"),
        ([UpstreamBusy("b", code="x"), DOWN], "exhausted"),
        ([UpstreamRefusedUs("m", code="model_not_found")], "model_not_found"),
        ([UpstreamRefusedUs("m")], "exhausted"),
        ([BUSY], "exhausted"),
    ],
)
def test_exhausted_keeps_a_code_that_its_upstreams_agree_on(failures, code):
    assert Exhausted([("tier", each) for each in failures]).code == code


def test_exhausted_lists_every_failure():
    body = Exhausted([("small", SLOW), ("large", DOWN)]).body()["error"]
    assert body["code"] == "exhausted"
    assert body["attempts"] == [
        {"tier": "small", "type": "timeout", "code": "upstream_timeout", "message": "t"},
        {"tier": "large", "type": "upstream_error", "code": "upstream_down", "message": "d"},
    ]


def test_a_kind_says_whether_another_tier_is_asked():
    """It is all that a ledger keeps of a failure: a replay has to go the same way by it."""
    ways = {}
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, errors.UpstreamError):
            ways.setdefault(each.kind, set()).add(each.falls_through)
    assert {kind: way for kind, way in ways.items() if len(way) > 1} == {}
