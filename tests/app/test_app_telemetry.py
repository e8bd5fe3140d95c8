"""Traces and metrics reach a collector, hold no text, and cost nobody anything when it is down."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import pytest
import yaml
from api.serving import REFUSES, ask_for, config, house
from app.collecting import collecting, plain
from app.scoring import said
from app.serving import Process, until
from launcher.serving import connections, thresholds
from upstreams.scripted import Scripted

from gateway.sinks import telemetry

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "a-secret-of-the-prompt"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(telemetry, "EVERY_SECONDS", 0.02)


def otlp(endpoint, **changes):
    return {"otlp": {"endpoint": endpoint, "sample": 1, "every": "1h"} | changes}


def by_name(spans):
    return {span.name: span for span in spans}


async def test_a_request_is_a_trace_of_its_attempts_calls_and_checks(tmp_path):
    with collecting() as (collector, url):
        async with house(tmp_path, telemetry=otlp(url, headers={"x-team": "blue"})) as here:
            body = ask_for(messages=[{"role": "user", "content": SECRET}], **REFUSES)
            answer = await here.post(body, traceparent=PARENT)
            entry = here.entry(answer)
            await until(lambda: collector.spans)
        text = b"".join(each.SerializeToString() for each in collector.traces)
    spans = by_name(collector.spans)
    root = spans["chat waterfall"]
    assert {each.trace_id.hex() for each in collector.spans} == {PARENT[3:35]}
    assert root.parent_span_id.hex() == PARENT[36:52]
    told = plain(root.attributes)
    assert told["waterfall.tier"] == "large"
    assert told["waterfall.escalated"] is True
    assert told["gen_ai.response.model"] == "l-model"
    assert told["gen_ai.usage.output_tokens"] == entry["calls"][-1]["completion_tokens"]
    assert round(told["waterfall.cost_usd"] * 1e9) == entry["cost"]
    first, second = spans["attempt small"], spans["attempt large"]
    assert {first.parent_span_id, second.parent_span_id} == {root.span_id}
    assert plain(first.attributes)["waterfall.verdict"] == "defer"
    assert plain(first.attributes)["waterfall.reason"] == "refusal"
    assert plain(second.attributes)["waterfall.served"] is True
    assert spans["chat s-model"].parent_span_id == first.span_id
    assert spans["check refusal"].parent_span_id in {first.span_id, second.span_id}
    results = {
        plain(s.attributes)["waterfall.result"] for s in collector.spans if "check" in s.name
    }
    assert "fail" in results
    for span in collector.spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano
    assert len({span.span_id for span in collector.spans}) == len(collector.spans)
    assert SECRET.encode() not in text
    assert collector.headers[0]["x-team"] == "blue"


async def test_what_failed_says_why(tmp_path):
    with collecting() as (collector, url):
        async with house(tmp_path, telemetry=otlp(url)) as here:
            simulate = "status,status=500"
            assert (await here.post(ask_for(simulate=simulate))).status == 502
            await until(lambda: collector.spans)
    spans = by_name(collector.spans)
    for name, error in {"chat waterfall": "upstream_error", "chat l-model": "server"}.items():
        assert plain(spans[name].attributes)["error.type"] == error
        assert spans[name].status.code == 2


async def test_a_share_is_sampled_and_a_client_may_decline(tmp_path):
    with collecting() as (collector, url):
        async with house(tmp_path, telemetry=otlp(url, sample=0)) as here:
            await here.chat()
            await here.post(ask_for(), traceparent=f"{PARENT[:-1]}0")
            await here.post(ask_for(), traceparent="nonsense")
            await here.post(ask_for(), traceparent=PARENT)
            await until(lambda: collector.spans)
    assert len([span for span in collector.spans if span.name == "chat waterfall"]) == 1


async def test_the_trace_goes_on_upstream_where_it_shall(tmp_path):
    for propagate in (True, False):
        async with Scripted(said("Hello there.")) as server:
            with collecting() as (collector, url):
                folder = tmp_path / str(propagate)
                folder.mkdir()
                changes = {
                    "upstreams__near": {"base_url": server.url},
                    "tiers__small__upstream": "near",
                    "telemetry": otlp(url, propagate=propagate),
                }
                async with house(folder, config(**changes)) as here:
                    await here.post(ask_for("small"), traceparent=PARENT)
                    await until(lambda: collector.spans)
            (sent,) = server.requests
        span = by_name(collector.spans)["chat s-model"]
        line = f"traceparent: {PARENT[:35]}-{span.span_id.hex()}-01\r\n".encode()
        assert (line in sent) is propagate
        assert (b"traceparent" in sent) is propagate


async def test_the_catalogue_and_the_conventions_names_are_exported(tmp_path):
    with collecting() as (collector, url):
        async with house(tmp_path, telemetry=otlp(url, traces=False)) as here:
            for stream in (False, True, True):
                await here.post(ask_for(stream=stream))
            page = here.gateway.metrics.render().decode()
    assert collector.spans == []
    (served,) = [
        point.as_double
        for point in collector.last("waterfall_requests_total").sum.data_points
        if plain(point.attributes) == {"route": "waterfall", "tier": "small", "outcome": "ok"}
    ]
    assert served == 3
    times = collector.last("waterfall_request_duration_seconds").histogram.data_points
    assert {plain(each.attributes)["stream"]: each.count for each in times} == {
        "false": 1,
        "true": 2,
    }
    assert all(sum(each.bucket_counts) == each.count for each in times)
    assert all(len(each.bucket_counts) == len(each.explicit_bounds) + 1 for each in times)
    assert not times[0].HasField("min")
    assert collector.last("waterfall_threshold").gauge.data_points[0].as_double == 0.8
    of = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "s-model",
    }
    (duration,) = collector.last("gen_ai.client.operation.duration").histogram.data_points
    assert (plain(duration.attributes), duration.count) == (of, 3)
    assert duration.explicit_bounds[-1] == 81.92
    (first,) = collector.last("gen_ai.client.operation.time_to_first_chunk").histogram.data_points
    assert first.count == 2
    tokens = collector.last("gen_ai.client.token.usage").histogram.data_points
    sums = {plain(each.attributes)["gen_ai.token.type"]: each.sum for each in tokens}
    for kind, name in (("input", "input_tokens"), ("output", "output_tokens")):
        metric = collector.last(f"gen_ai.client.inference.usage.{name}")
        (used,) = metric.sum.data_points
        assert used.as_int == sums[kind] > 0
        assert plain(used.attributes) == {**of, "gen_ai.token.modality": "unknown"}
        assert metric.sum.is_monotonic
        assert f'type="{kind}"}} {used.as_int}.0' in page, "as the catalogue counts them"


async def test_a_collector_that_is_down_hurts_nobody_and_what_it_misses_is_counted(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(telemetry, "MOST_ENTRIES", 5)
    monkeypatch.setattr(telemetry, "LAST_CHANCE", 0.2)
    with socket.socket() as taken:  # listens to nobody
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with house(tmp_path, telemetry=otlp(url, every="1s")) as here:
            for _ in range(20):
                assert (await here.chat()).status == 200
            assert here.gateway.telemetry.dropped > 0
            page = here.gateway.metrics.render().decode()
            assert 'telemetry_dropped_total{reason="queue",signal="traces"}' in page
            began = asyncio.get_running_loop().time()
            await asyncio.to_thread(here.gateway.telemetry.close)
            assert asyncio.get_running_loop().time() - began < 5


async def test_what_the_collector_refuses_is_counted_and_said_once(tmp_path, caplog):
    with collecting() as (collector, url):
        collector.status = 400
        async with house(tmp_path, telemetry=otlp(url)) as here:
            ours = here.gateway.telemetry
            for number in (1, 2, 3):
                await here.chat()
                await until(lambda number=number: ours.refused_traces == number)
            collector.status = 200
            await here.chat()
            await until(lambda: collector.spans)
    assert caplog.text.count("does not take telemetry") == 1
    assert caplog.text.count("takes telemetry again") == 1


async def test_each_worker_says_who_it_is(tmp_path):
    with collecting() as (collector, url):
        document = config(server__workers=2, telemetry=otlp(url, every="1s"))
        async with Process(tmp_path, document) as it:
            await it.ready()
            async with connections(it, 4) as clients:
                await thresholds(clients)
            await until(lambda: len({r["service.instance.id"] for r in collector.resources()}) == 2)
            it.signal()
            assert await it.ended() == 0
        assert "Traceback" not in it.stderr
    resources = collector.resources()
    assert {each["service.name"] for each in resources} == {"waterfall"}
    roots = [span for span in collector.spans if span.name == "chat waterfall"]
    assert len(roots) == 4, "what waited was sent at the end"


def test_without_the_libraries_it_says_what_to_install(tmp_path):
    path = tmp_path / "waterfall.yaml"
    path.write_text(yaml.safe_dump(config(telemetry=otlp("http://127.0.0.1:4318"))))
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from gateway.cli import main; sys.exit(main(['serve', '--config', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'waterfall-gateway[otlp]'" in done.stderr
    assert "Traceback" not in done.stderr
