"""The exports that can be read: each provider's own columns, and what is no export."""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_models.invoice.billed import Billed, InvoiceError, count, day, match, money, table
from router_models.invoice.exports import read_export


@pytest.fixture(autouse=True)
def _csv_as_a_command_finds_it():
    """Reading a table of prompts lets the whole process have longer fields."""
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)


ANTHROPIC_USAGE = """\
usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,\
usage_output_tokens,web_search_count,inference_geo,speed
2026-11-01,claude-haiku-4-5-20251001,k,Default,standard,≤ 200k,100,20,3,400,50,0,not_available,
2026-11-01,claude-haiku-4-5-20251001,l,Default,standard,≤ 200k,1,0,0,0,2,0,not_available,
"""
ANTHROPIC_COST = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd
2026-11-01,Claude Haiku 4.5,Default,k,message,≤ 200k,input_no_cache,0.19,0.19
2026-11-01,Claude Haiku 4.5,Default,k,message,≤ 200k,output,0.02,0.02
2026-11-01,,Default,k,code_execution,,,0.05,0.05
"""
OPENAI_USAGE = """\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,\
model,batch,service_tier,input_tokens,output_tokens,input_cached_tokens
1793491200,1793491260,2026-11-01T00:00:00+00:00,2026-11-01T00:01:00+00:00,p,3.0,,k,\
gpt-4o-mini-2024-07-18,False,,4212,1673,1280
1793491260,1793491320,2026-11-01T00:01:00+00:00,2026-11-01T00:02:00+00:00,p,1.0,,k,\
gpt-4o-mini-2024-07-18,False,,8,2,0
1793491320,1793491380,2026-11-01T00:02:00+00:00,2026-11-01T00:03:00+00:00,,,,,,,,,,
"""
OPENAI_COST = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id
1793491200,1793577600,2026-11-01T00:00:00+00:00,2026-11-02T00:00:00+00:00,0.0125,usd,\
"gpt-4o-mini-2024-07-18, input",p
1793491200,1793577600,2026-11-01T00:00:00+00:00,2026-11-02T00:00:00+00:00,1e-05,usd,\
"gpt-4o-mini-2024-07-18, output",p
"""


def page(*buckets):
    return json.dumps({"object": "page", "data": list(buckets), "has_more": False})


OPENAI_USAGE_API = page(
    {
        "object": "bucket",
        "start_time": 1793491200,
        "end_time": 1793577600,
        "results": [
            {
                "object": "organization.usage.completions.result",
                "input_tokens": 4220,
                "output_tokens": 1675,
                "input_cached_tokens": 1280,
                "num_model_requests": 4,
                "model": "gpt-4o-mini-2024-07-18",
            }
        ],
    }
)
OPENAI_COST_API = page(
    {
        "object": "bucket",
        "start_time": 1793491200,
        "results": [
            {
                "object": "organization.costs.result",
                "amount": {"value": 0.01251, "currency": "usd"},
                "line_item": "gpt-4o-mini-2024-07-18, input",
            }
        ],
    }
)
ANTHROPIC_USAGE_API = page(
    {
        "starting_at": "2026-11-01T00:00:00Z",
        "ending_at": "2026-11-02T00:00:00Z",
        "results": [
            {
                "uncached_input_tokens": 101,
                "cache_creation": {"ephemeral_1h_input_tokens": 3, "ephemeral_5m_input_tokens": 20},
                "cache_read_input_tokens": 400,
                "output_tokens": 52,
                "model": "claude-haiku-4-5-20251001",
            }
        ],
    }
)
ANTHROPIC_COST_API = page(
    {
        "starting_at": "2026-11-01T00:00:00Z",
        "results": [{"amount": "21.5", "currency": "USD", "model": "claude-haiku-4-5-20251001"}],
    }
)
HAIKU, MINI = "claude-haiku-4-5-20251001", "gpt-4o-mini-2024-07-18"
NOVEMBER = "2026-11-01"


@pytest.fixture
def read(tmp_path):
    def reading(text, name="export"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        kind, lines = read_export(path)
        return kind, table(lines)

    return reading


@pytest.mark.parametrize(
    ("text", "kind", "billed"),
    [
        (ANTHROPIC_USAGE, "Anthropic usage",
         Billed(NOVEMBER, HAIKU, prompt=524, cached=400, written=23, output=52)),
        (ANTHROPIC_USAGE_API, "Anthropic usage",
         Billed(NOVEMBER, HAIKU, prompt=524, cached=400, written=23, output=52)),
        (ANTHROPIC_COST, "Anthropic cost",
         Billed(NOVEMBER, "Claude Haiku 4.5", cost=210_000_000)),
        (ANTHROPIC_COST_API, "Anthropic cost", Billed(NOVEMBER, HAIKU, cost=215_000_000)),
        (OPENAI_USAGE, "OpenAI usage",
         Billed(NOVEMBER, MINI, prompt=4220, cached=1280, output=1675, requests=4)),
        (OPENAI_USAGE_API, "OpenAI usage",
         Billed(NOVEMBER, MINI, prompt=4220, cached=1280, output=1675, requests=4)),
        (OPENAI_COST, "OpenAI cost", Billed(NOVEMBER, MINI, cost=12_510_000)),
        (OPENAI_COST_API, "OpenAI cost", Billed(NOVEMBER, MINI, cost=12_510_000)),
        ('﻿Date,Model,Cost_USD,Input_Tokens\n2026-11-01,m,$1.50,"1,000"\n', "generic",
         Billed(NOVEMBER, "m", prompt=1000, cost=1_500_000_000)),
    ],
)  # fmt: skip
def test_each_provider_s_columns_are_read_as_they_are_meant(read, text, kind, billed):
    found, lines = read(text)
    assert found == kind
    assert lines[billed.model, NOVEMBER] == billed


def test_usage_and_costs_of_a_provider_make_one_table(read, tmp_path):
    usage, cost = (read(text)[1] for text in (OPENAI_USAGE_API, OPENAI_COST_API))
    both = table([*usage.values(), *cost.values()])[MINI, NOVEMBER]
    assert (both.prompt, both.cost) == (4220, 12_510_000)


def test_what_has_no_model_is_kept_and_not_lost(read):
    _, lines = read(ANTHROPIC_COST)
    assert lines["not by model", NOVEMBER].cost == 50_000_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no known export has these columns"),
        ("", "no known export has these columns"),
        ('{"data": 3}', "it has no list `data`"),
        ('{"data": [', "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        (json.dumps({"data": [], "has_more": True}), "more pages"),
        (page({"start_time": 1, "results": [{"a": 1}]}), "neither usage nor costs"),
        (page({"start_time": 1793491200, "results": [{"input_tokens": 3, "output_tokens": 1}]}),
         "grouped by model"),
        (OPENAI_COST.replace("usd", "eur"), "export:2: amounts are in eur, not in USD"),
        ("date,model,cost_usd\n2026-13-01,m,1\n", "export:2: date: '2026-13-01' is no day"),
        ("date,model,cost_usd\n2026-11-01,m,1 Euro\n", "export:2: cost_usd: '1 Euro' is no amount"),
        ("date,model,input_tokens\n2026-11-01,m,-3\n", "export:2: input_tokens: '-3' is no count"),
        ("date,model,input_tokens\n2026-11-01,m,1.5\n", "input_tokens: '1.5' is no count"),
        ("date,model,input_tokens\n2026-11-01,m,1e9999999\n", "'1e9999999' is no count"),
        ("date,model,cost_usd\n2026-11-01,m,1e99999999\n", "cost_usd: '1e99999999' is no amount"),
        ("date,model,cost_usd\n2026-11-01,m,NaN\n", "export:2: cost_usd: 'NaN' is no amount"),
        ("date,model,input_tokens\n2026-11-01,m," + "9" * 99_999, "input_tokens: '9999"),
        ("date,model,input_tokens\n0001-01-01,m,1\n", "date: '0001-01-01' is no day of a bill"),
        ("date,model,input_tokens\n9999-12-31,m,1\n", "date: '9999-12-31' is no day of a bill"),
        ("date,model\n2026-11-01," + "m" * 200_000, "export:2: field larger than"),
        ("date,model,input_tokens,cached_tokens\n2026-11-01,m,100,900\n",
         "export:2: 900 cached and written tokens are more than 100 of input"),
        (page({"start_time": 1793491200, "results": [5]}), "results: must be a list of mappings"),
        (page({"start_time": 1793491200, "results": 7}), "results: must be a list of mappings"),
        (page({"start_time": 1793491200, "results": [
            {"model": "m", "input_tokens": 1, "output_tokens": 1}]}).replace("1}", "1e400}"),
         "bucket 1793491200: output_tokens: Decimal('1E+400') is no count"),
        (page({"starting_at": "2026-11-01T00:00:00Z", "results": [
            {"model": "m", "uncached_input_tokens": 1, "cache_creation": 5}]}),
         "cache_creation: must be a mapping"),
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused_with_its_place(read, text, said):
    with pytest.raises(InvoiceError, match=re.escape(said)):
        read(text)


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "invoice.pdf"
    path.write_bytes(b"%PDF-1.7\xff\xfe")
    with pytest.raises(InvoiceError, match="no text"):
        read_export(path)


@given(st.decimals(-(10**9), 10**9, places=9))
def test_an_amount_is_read_to_the_nano_dollar(amount):
    assert money(str(amount), "x") == int(amount * 10**9)
    assert money(f"{amount:f}", "x", parts=100) == round(amount * 10**7)


@given(st.text(max_size=20))
def test_no_text_is_read_as_something_it_is_not(text):
    for reader in (money, count):
        try:
            found = reader(text, "x")
        except InvoiceError:
            continue
        assert found is None or Decimal(text.replace(",", "").removeprefix("$")) is not None
    try:
        found = day(text, "x")
    except InvoiceError:
        return
    assert len(found) == 10


@pytest.mark.parametrize(
    ("billed", "recorded", "found"),
    [
        ("gpt-4o-2024-08-06", ["gpt-4o", "gpt-4o-mini"], "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", ["gpt-4o", "gpt-4o-mini"], "gpt-4o-mini"),
        ("Claude Haiku 4.5", ["claude-haiku-4-5"], "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", ["anthropic/claude-haiku-4-5"], "anthropic/claude-haiku-4-5"),
        ("m", ["m-2025-01-01", "m-2025-02-02"], "m"),
        ("m", ["m", "m-2025-02-02"], "m"),
        ("odd", ["m"], "m"),
        ("other", ["m"], "other"),
    ],
)
def test_a_billed_model_is_the_one_that_is_called_so(billed, recorded, found):
    assert match(billed, recorded, {"odd": "m"}) == found
