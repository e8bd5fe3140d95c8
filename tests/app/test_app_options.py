"""Every documented option of upstreams, tiers and routes changes what happens, end to end."""

from __future__ import annotations

import json
from decimal import Decimal

import orjson
import pytest
from api.serving import LARGE, REFUSES, SMALL, ask_for, config, house

from gateway.config.combiner_file import write_combiner
from gateway.core.combine import Combiner, Curve, Stage
from gateway.upstreams.simulated import serve_simulated

INSTANT = {"kind": "simulated", "first_token": 0, "per_token": 0}
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": PLACE}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
STRICT = {"accept": 1.0, "checks": ["logprob"]}
"""A bar that no real confidence reaches."""


# ------------------------------------------------------------------ tiers


@pytest.mark.parametrize(
    ("hold", "tier", "reason"),
    [
        ("reply", "large", "last_tier"),
        ("none", "small", "trusted"),
        ({"tokens": 2}, "small", "prefix_passed"),
        ("sentence", "small", "prefix_passed"),
    ],
)
async def test_hold(tmp_path, hold, tier, reason):
    """JSON that breaks off is bad as a whole, and fine as far as a shorter hold looks."""
    body = {"simulate": {SMALL: "bad_json"}, "response_format": {"type": "json_object"}}
    long = {**INSTANT, "tokens": [60, 60]}
    async with house(tmp_path, tiers__small__hold=hold, upstreams__sim=long) as it:
        answer = await it.chat(stream=True, **body)
        plain = await it.chat(**body)
        entry = it.entry(answer)
    assert (answer.told("tier"), answer.told("reason")) == (tier, reason)
    assert plain.told("tier") == "large", "a plain reply is always judged whole"
    if tier == "small":
        assert entry["attempts"][0]["late_verdict"] == "defer", "the ledger knows better"


@pytest.mark.parametrize(
    ("check", "body"),
    [
        ("shape", {"simulate": {SMALL: "empty_reply"}}),
        ("refusal", REFUSES),
        ("format", {"simulate": {SMALL: "bad_json"}, "response_format": {"type": "json_object"}}),
        ("tools", {"simulate": {SMALL: "bad_json"}, "tools": [TOOL], "tool_choice": "required"}),
        ("logprob", {}),
    ],
)
async def test_bar_checks(tmp_path, check, body):
    accept = 1.0 if check == "logprob" else 0.7
    others = [name for name in ("shape", "refusal") if name != check]
    for checks, tier in (([check], "large"), (others, "small")):
        bar = {"accept": accept, "checks": checks}
        async with house(tmp_path, tiers__small__bar=bar) as it:
            answer = await it.chat(**body)
            asked = it.entry(answer)["attempts"][0]["checks"]
        assert answer.told("tier") == tier, (checks, asked)
        assert {each["check"] for each in asked} == set(checks)


async def test_bar_accept(tmp_path):
    for accept, tier in ((0.0, "small"), (1.0, "large")):
        bar = {"accept": accept, "checks": ["logprob"]}
        async with house(tmp_path, tiers__small__bar=bar) as it:
            assert (await it.chat()).told("tier") == tier


async def test_the_last_tier_is_never_held_to_its_bar(tmp_path):
    # A bar is for a tier that is not last everywhere: another route has it first.
    second = {"tiers": ["large", "small"], "scorer": "rules"}
    bars = {"tiers__large__bar": STRICT, "tiers__small__bar": STRICT}
    async with house(tmp_path, **bars, routes__second=second) as it:
        answer = await it.chat()
        entry = it.entry(answer)
    assert (answer.told("tier"), answer.told("degraded")) == ("large", "false")
    assert [each["check"] for each in entry["attempts"][1]["checks"]] == ["logprob"]


async def test_price(tmp_path):
    price = {"input": 100, "output": 1000, "request": 0.25}
    async with house(tmp_path, tiers__small__price=price) as it:
        answer = await it.chat(max_tokens=5)
    usage = answer.json["usage"]
    spent = Decimal(usage["prompt_tokens"] * 100 + usage["completion_tokens"] * 1000) / 10**6
    assert Decimal(answer.told("cost-usd")) == spent + Decimal("0.25")


async def test_prices_of_a_file_and_of_the_book(tmp_path):
    prices = {"version": "mine", "models": {SMALL: {"input": 7, "output": 0}}}
    (tmp_path / "prices.yaml").write_text(json.dumps(prices))
    async with house(
        tmp_path, tiers__small__price=None, prices={"book": "none", "file": "prices.yaml"}
    ) as it:
        answer = await it.chat()
    prompt = answer.json["usage"]["prompt_tokens"]
    assert Decimal(answer.told("cost-usd")) == Decimal(7 * prompt) / 10**6


async def test_context_starts_higher(tmp_path):
    long = [{"role": "user", "content": "word " * 2_000}]
    async with house(tmp_path, tiers__small__context=500) as it:
        answer = await it.chat(messages=long)
        assert (await it.chat()).told("tier") == "small"
    assert answer.told("start") == "large; context"


@pytest.mark.parametrize(
    ("flag", "body"),
    [
        ("tools", {"tools": [TOOL]}),
        ("images", {"messages": [{"role": "user", "content": [PICTURE]}]}),
    ],
)
async def test_tools_and_images_flags(tmp_path, flag, body):
    async with house(tmp_path, **{f"tiers__small__{flag}": False}) as it:
        wanting, without = await it.chat(**body), await it.chat()
    assert wanting.told("start") == "large; rule"
    assert without.told("start") == "small; score"
    nobody = {f"tiers__{tier}__{flag}": False for tier in ("small", "large")}
    async with house(tmp_path, **nobody) as it:
        refused = await it.chat(**body)
        assert it.sent == []
    assert refused.status == 400
    assert flag in refused.error["message"]


async def test_recipe_params_and_not_sure(tmp_path):
    (tmp_path / "r.yaml").write_text(
        "version: 1\nnot_sure: true\nparams: {temperature: 0.125, user: ours}\n"
    )
    async with house(tmp_path, tiers__small__recipe="r.yaml") as it:
        answer = await it.chat(temperature=1.0, user="theirs")
        sent = it.sent[0]
        entry = it.entry(answer)
    assert (sent["temperature"], sent["user"]) == (0.125, "ours")
    assert "unsure" in {each["check"] for each in entry["attempts"][0]["checks"]}


async def test_recipe_handover_is_for_escalations_alone_and_never_the_client_s(tmp_path):
    (tmp_path / "r.yaml").write_text("version: 1\nhandover: Somebody else could not.\n")
    recipes = {"tiers__large__recipe": "r.yaml", "tiers__small__recipe": "r.yaml"}
    async with house(tmp_path, **recipes) as it:
        await it.chat(**REFUSES)
        await it.post(ask_for(), x_waterfall_threshold="0")
        await it.post(ask_for(simulate={LARGE: "500"}), x_waterfall_threshold="0")
        bodies = [(body["model"], body["messages"]) for body in it.sent]
    own = ask_for()["messages"]
    note = {"role": "system", "content": "Somebody else could not."}
    assert bodies == [
        (SMALL, own),
        (LARGE, [note, *own]),
        (LARGE, own),
        (LARGE, own),
        (SMALL, own),  # a fall is no escalation
    ]


async def test_prediction_flag(tmp_path):
    guess = {"type": "content", "content": "Hello."}
    async with house(tmp_path, tiers__small__prediction=False) as it:
        assert (await it.chat(prediction=guess)).told("tier") == "small"
        await it.post(ask_for(prediction=guess), x_waterfall_threshold="0")
        assert [body.get("prediction") for body in it.sent] == [None, guess]


async def test_a_stream_that_may_call_tools_is_held_whole_under_a_shorter_hold(tmp_path):
    """Words that were let through could not be taken back once a call behind them is wrong."""
    refuses = {"stream": True, "simulate": {SMALL: "bad_json"}, "tool_choice": "auto"}
    hold = {"tiers__small__hold": {"tokens": 2}}
    async with house(tmp_path, **hold) as it:
        plain = await it.chat(stream=True)
        held = await it.chat(**refuses, tools=[TOOL])
        entries = [it.entry(each) for each in (plain, held)]
    assert plain.told("reason") == "prefix_passed"
    assert held.told("reason") in {"passed", "last_tier"}
    assert [entry["attempts"][0]["late_verdict"] for entry in entries] == ["accept", ""]


# ------------------------------------------------------------------ upstreams


@pytest.mark.parametrize(
    ("limit", "fault", "stream"),
    [
        ("first_token", "hang", False),
        ("first_token", "hang", True),
        ("first_token", "slow_first,seconds=30", True),
        ("silence", "stall,after=2", True),
        ("total", "hang", False),
        ("total", "stall,after=2", True),
    ],
)
async def test_timeouts(tmp_path, limit, fault, stream):
    async with serve_simulated() as server:
        real = {"base_url": f"{server.url}/v1", "timeouts": {limit: "80ms"}}
        changes = {"upstreams__real": real, "tiers__small__upstream": "real"}
        async with house(tmp_path, **changes) as it:
            answer = await it.chat(model="small", stream=stream, simulate=fault)
            other = await it.chat(stream=stream, simulate={SMALL: fault})
    if fault.startswith("stall"):  # a tier that is asked for by name streams at once
        assert b'"code":"stream_broken"' in answer.body
        assert f"({limit})".encode() in answer.body
    else:
        assert answer.status == 504
        assert answer.error["attempts"][0]["type"] == "timeout"
    assert other.told("tier") == "large"


async def test_connect_timeout_and_refusal_fall_through(tmp_path, unused_tcp_port):
    real = {"base_url": f"http://127.0.0.1:{unused_tcp_port}/v1", "timeouts": {"connect": "50ms"}}
    async with house(tmp_path, upstreams__real=real, tiers__small__upstream="real") as it:
        answer = await it.chat()
        assert it.entry(answer)["escalations"][0]["reason"] == "connect"
    assert answer.told("tier") == "large"


async def test_api_key_is_sent_and_the_client_s_own_headers_are_not(tmp_path):
    async with serve_simulated(key="sk-upstream") as server:
        for key, status in (("sk-upstream", 200), ("sk-wrong", 502), (None, 502)):
            real = {"base_url": f"{server.url}/v1"} | ({"api_key": key} if key else {})
            async with house(tmp_path, upstreams__sim=real) as it:
                answer = await it.post(
                    ask_for(), authorization="Bearer sk-upstream", x_simulate="500"
                )
            assert answer.status == status, "x-simulate and the client's key stay here"
            if status == 502:
                assert {each["code"] for each in answer.error["attempts"]} == {
                    "upstream_refused_gateway"
                }
                assert b"sk-" not in answer.body


async def test_simulated_answers_accuracy_and_seed(tmp_path):
    key = {f"question {n}": f"answer {n}" for n in range(12)}
    (tmp_path / "key.json").write_text(json.dumps(key))
    sim = {**INSTANT, "answers": "key.json", "accuracy": {SMALL: 0, LARGE: 1}}
    texts = {}
    for seed in (1, 1, 2):
        async with house(tmp_path, upstreams__sim={**sim, "seed": seed}) as it:
            said = []
            for question, right in key.items():
                body = {"messages": [{"role": "user", "content": question}]}
                said.append((await it.chat(model="small", **body)).text)
                assert said[-1] != right
                assert (await it.chat(model="large", **body)).text == right
        assert texts.setdefault(seed, said) == said
    assert texts[1] != texts[2]


async def test_simulated_error_and_stall_rates(tmp_path):
    async with house(tmp_path, upstreams__sim={**INSTANT, "error_rate": "100%"}) as it:
        assert (await it.chat()).status == 502
    stalls = {**INSTANT, "stall_rate": 1, "timeouts": {"silence": "50ms", "first_token": "50ms"}}
    async with house(tmp_path, upstreams__sim=stalls) as it:
        assert (await it.chat()).status == 504


# ------------------------------------------------------------------ routes, ledger, log


async def test_several_routes_have_policies_of_their_own(tmp_path):
    second = {"tiers": ["small", "large"], "scorer": "rules", "threshold": 0, "aliases": ["b"]}
    async with house(tmp_path, routes__second=second) as it:
        assert (await it.chat()).told("tier") == "small"
        assert (await it.chat(model="b")).told("tier") == "large"


async def test_ledger_url(tmp_path):
    async with house(tmp_path, ledger__url="sqlite:///deep.db") as it:
        assert len(it.entries()) == 0
        await it.chat()
        assert len(it.entries()) == 1
    assert (tmp_path / "deep.db").stat().st_mode & 0o077 == 0
    assert not (tmp_path / "waterfall.db").exists()


@pytest.mark.parametrize("form", ["json", "human"])
async def test_log_form(tmp_path, form):
    async with house(tmp_path, config(server__log=form)) as it:
        answer = await it.chat(**REFUSES)
    lines = (tmp_path / "requests.log").read_text().splitlines()
    assert len(lines) == 1
    assert answer.header("x-request-id") in lines[0]
    if form == "json":
        line = orjson.loads(lines[0])
        assert (line["tier"], line["status"], line["escalated"]) == ("large", 200, True)
    else:
        assert "small (refusal) → large" in lines[0]


def _combiner(offset):
    """A combiner of one free check, whose curve starts from `offset`."""
    weights = {"brevity": 0.0}
    stage = Stage(Curve(offset, 0, 0, weights, weights), Curve(3.0, 0, 0, weights, weights))
    return Combiner("own@1", ("brevity",), (), (stage,))


async def test_bar_confidence(tmp_path):
    """What the combiner says is the verdict's confidence, and a new one takes over."""
    bar = {"checks": ["brevity"], "confidence": "combined"}
    write_combiner(tmp_path / "combined", _combiner(-2.0), {})
    async with house(tmp_path, tiers__small__bar=bar) as it:
        low = await it.chat()
        write_combiner(tmp_path / "combined", _combiner(2.0), {})
        assert await it.gateway.reload()
        high = await it.chat()
        entry = it.entry(high)
    assert (low.told("tier"), high.told("tier")) == ("large", "small")
    assert entry["attempts"][0]["confidence"] == pytest.approx(0.8808, abs=1e-4)
