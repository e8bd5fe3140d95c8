"""Values that mean nothing together are refused: where, why, and what to do instead."""

from __future__ import annotations

import pytest

CHECKS = """\
checks:
  second: {kind: agreement, timeout: 9s}
  judged: {kind: judge, tier: large, timeout: 5s}
"""
AGAIN = "; make it shorter"


def spoiled(small, was, now, more=""):
    assert was in small
    return small.replace(was, now) + more


@pytest.mark.parametrize(
    "word", ["refusal: true", "repetition: true", "format: true", "logprob: 0.2"]
)
def test_early_decisions_on_what_is_not_held(problems, read, small, word):
    line = f"model: tiny, hold: none, bar: {{early: {{{word}}}}}"
    (told,) = problems(spoiled(small, "model: tiny", line))
    place = f"4: tiers.small.bar.early.{word.partition(':')[0]}: means nothing with hold: none"
    assert place in told
    assert "remove one of them" in told
    for fine in ("hold: none", "hold: none, bar: {early: {repetition: false, logprob: off}}"):
        assert read(spoiled(small, "model: tiny", f"model: tiny, {fine}"))


@pytest.mark.parametrize("checks", ["[shape]", "[shape, second]"])
def test_at_once_without_two_to_buy(problems, read, small, checks):
    line = "model: tiny, bar: {checks: %s, at_once: true}"
    (told,) = problems(spoiled(small, "model: tiny", line % checks, CHECKS))
    assert "tiers.small.bar.at_once: means nothing without two checks of your own" in told
    assert read(spoiled(small, "model: tiny", line % "[second, judged]", CHECKS))


def test_a_hedge_after_the_call_has_failed(problems, read, small):
    slow = spoiled(small, 'v1"', 'v1", timeouts: {first_token: %s}')
    for hedge in ("{}", "{after: 1s}"):
        hedged = spoiled(slow, "model: tiny", f"model: tiny, hedge: {hedge}")
        (told,) = problems(hedged % "1s")
        assert "tiers.small.hedge.after: never comes (1" in told
        assert "after 1s (upstreams.acme.timeouts.first_token)" in told
        assert told.endswith(AGAIN)
        assert read(hedged % "2s")


def test_a_hedge_to_a_tier_that_is_not_there(problems, read, small):
    hedge = "model: huge, hedge: {tier: %s}"
    (told,) = problems(spoiled(small, "model: huge", hedge % "next"))
    assert "tiers.large.hedge.tier: means nothing: no route has a tier over this one" in told
    assert read(spoiled(small, "model: huge", hedge % "same"))
    elsewhere = "  second: {tiers: [large, small]}\n"
    assert read(spoiled(small, "model: huge", hedge % "next", elsewhere))


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("keepalive_after: %s", "keepalive_after"),
        ("speculate: {after: %s}", "speculate.after"),
    ],
)
def test_what_comes_after_the_deadline(problems, read, small, key, place):
    line = "[small, large], deadline: 10s, " + key
    (told,) = problems(spoiled(small, "[small, large]", line % "10s"))
    assert f"routes.waterfall.{place}: never comes: the whole request has 10s (deadline)" in told
    assert told.endswith(AGAIN)
    assert read(spoiled(small, "[small, large]", line % "9s"))


def test_a_check_s_time_over_the_deadline_of_all_that_wait_for_it(problems, read, small):
    named = spoiled(small, "model: tiny", "model: tiny, bar: {checks: [second, judged]}")
    hurried = spoiled(named, "[small, large]", "[small, large], deadline: 5s")
    (told,) = problems(hurried + CHECKS)
    assert "checks.second.timeout: never acts: the whole request has 5s (deadline)" in told
    assert told.endswith(AGAIN)
    patient = "  second: {tiers: [small, large], deadline: 10s}\n"
    assert read(hurried + patient + CHECKS)
    unwritten = CHECKS.replace(", timeout: 9s", "").replace(", timeout: 5s", "")
    assert read(spoiled(hurried, "deadline: 5s", "deadline: 2s", unwritten)), (
        "a default is not meant"
    )


def test_a_scorer_s_time_over_the_deadline(problems, read, small):
    line = "[small, large], deadline: 1s, scorer: %s"
    for scorer, place in (
        ("{python: a.b, timeout: 2s}", "scorer.timeout"),
        ("{llm: {tier: small, timeout: 2s}}", "scorer.llm.timeout"),
    ):
        (told,) = problems(spoiled(small, "[small, large]", line % scorer))
        assert f"routes.waterfall.{place}: never acts: the whole request has 1s (deadline)" in told
    assert read(spoiled(small, "[small, large]", line % "{llm: {tier: small}}"))


@pytest.mark.parametrize("word", ["first_token", "silence"])
def test_a_part_of_a_call_longer_than_the_whole(problems, read, small, word):
    line = 'v1", timeouts: {total: 9s, %s: %s}'
    (told,) = problems(spoiled(small, 'v1"', line % (word, "10s")))
    assert f"upstreams.acme.timeouts.{word}: never acts: the whole call may take 9s" in told
    assert read(spoiled(small, 'v1"', line % (word, "9s")))


def test_a_key_that_may_use_nothing(problems, small):
    key = f"keys: [{{name: a, hash: 'sha256:{'0' * 64}', routes: []}}]\n"
    (told,) = problems(small + key)
    assert "keys[0].routes: names none" in told


@pytest.mark.parametrize("band", ["[0.8, 0.6]", "[0.7, 0.7]", "[0.5, 1.2]", "[-0.1, 0.5]", "[0.5]"])
@pytest.mark.parametrize("of", ["speculate: {band: %s}", "scorer: {llm: {tier: small, band: %s}}"])
def test_a_band_that_is_none(problems, small, of, band):
    (told,) = problems(spoiled(small, "[small, large]", f"[small, large], {of % band}"))
    assert ".band: must be " in told


COMMAND = "  tests: {kind: command, run: [cat], timeout: 2s%s}\n"


def test_a_check_that_is_bought_on_a_tier_that_is_last_everywhere(problems, read, small):
    judged = spoiled(small, "model: huge", "model: huge, bar: {checks: [shape, second]}", CHECKS)
    (told,) = problems(judged)
    assert "tiers.large.bar.checks: second is never put here: this is the last tier of ev" in told
    assert told.endswith("held to no bar; remove it")
    under = "  second: {tiers: [large, small]}\n"
    assert read(
        spoiled(small, "model: huge", "model: huge, bar: {checks: [second]}", under + CHECKS)
    )


@pytest.mark.parametrize("check", ["second", "judged"])
def test_a_bar_of_nothing_with_a_check_that_only_says_how_sure_it_is(read, small, check):
    """It defers nothing, and the ledger has what it says: a way to gather what to tune on."""
    line = f"model: tiny, bar: {{checks: [shape, {check}], accept: %s}}"
    warned = read(spoiled(small, "model: tiny", line % "0", CHECKS)).warnings
    place = f"tiers.small.bar.accept: accepts every reply whatever {check} says"
    assert any(place in each for each in warned)
    fine = read(spoiled(small, "model: tiny", line % "0.01", CHECKS)).warnings
    # One that may fail a reply defers it whatever the bar is.
    may_fail = "model: tiny, bar: {checks: [tests], accept: 0}"
    fine += read(spoiled(small, "model: tiny", may_fail, CHECKS + COMMAND % "")).warnings
    assert not any("accepts every reply" in each for each in fine)


def test_a_processor_limit_over_the_time_out(problems, read, small):
    line = "model: tiny, bar: {checks: [tests]}"
    (told,) = problems(spoiled(small, "model: tiny", line, "checks:\n" + COMMAND % ", cpu: 3s"))
    assert "checks.tests.cpu: never acts: the program has 2s in all (timeout); make it sh" in told
    for fine in ("", ", cpu: 2s"):
        assert read(spoiled(small, "model: tiny", line, "checks:\n" + COMMAND % fine))


def test_a_ceiling_that_no_request_comes_under(problems, read, small):
    cap = "tiers: [small, large], max_cost_usd: %s"
    priced = small
    for model in ("tiny", "huge"):
        priced = spoiled(priced, model, f"{model}, price: {{input: 1, output: 2}}")
    (told,) = problems(spoiled(priced, "tiers: [small, large]", cap % "0.000001"))
    assert "routes.waterfall.max_cost_usd: lets no request through: a reply of one token co" in told
    assert told.endswith("costs $0.000002 at the cheapest tier; raise it, or write off")
    low = read(spoiled(priced, "tiers: [small, large]", cap % "0.000002"))
    assert "max_cost_usd: lets only requests with a small max_tokens through" in low.warnings[-1]
    assert not read(spoiled(priced, "tiers: [small, large]", cap % "0.01")).warnings


def test_speculation_where_nobody_is_served_by_the_policy(problems, read, small):
    seen = "tiers: [small, large], mode: observe, speculate: {band: [0.2, 0.6]}"
    text = spoiled(small, "tiers: [small, large]", seen, "  second: {tiers: [small, large]}\n")
    key = f"{text}keys: [{{name: a, hash: 'sha256:{'0' * 64}'%s}}]\n"
    for idle in ("", ", allow: [tier]", ", allow: [mode], routes: [second]"):
        (told,) = problems(key % idle)
        assert "routes.waterfall.speculate: means nothing where mode is observe" in told
        assert told.endswith("no key may ask otherwise (allow: [mode]); remove it")
    for fine in (text, key % ", allow: [mode]", key % ", allow: [mode], routes: [waterfall]"):
        warned = read(fine).warnings
        assert any("but who asks for x-waterfall-mode: enforce" in each for each in warned)


def test_a_share_of_nothing_enforced(problems, small):
    (told,) = problems(spoiled(small, "large]", "large], mode: {enforce: 0%}"))
    assert "routes.waterfall.mode: enforces nothing: write observe" in told


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("hold: sentence", "hold"),
        ("bar: {accept: 0.7}", "bar.accept"),
        ("bar: {min_gain: 0.1}", "bar.min_gain"),
        ("bar: {early: {refusal: true}}", "bar.early"),
    ],
)
def test_what_is_for_a_judged_draft_on_a_tier_that_is_last_everywhere(
    problems, read, small, line, place
):
    text = spoiled(small, "model: huge", f"model: huge, {line}")
    (told,) = problems(text)
    assert f"tiers.large.{place}: means nothing: this is the last tier of every route" in told
    assert told.endswith("go out as they come; remove it")
    assert read(text + "  second: {tiers: [large, small]}\n")


def test_a_doubt_that_no_token_raises(problems, read, small):
    line = "model: tiny, bar: {early: {logprob: %s}}"
    (told,) = problems(spoiled(small, "model: tiny", line % "0"))
    assert "tiers.small.bar.early.logprob: never acts: no token's probability is under 0" in told
    assert read(spoiled(small, "model: tiny", line % "0.01"))


def test_waiting_in_a_line_that_nobody_may_join(problems, read, small):
    line = 'v1", queue: {length: %s, wait: 2s}'
    (told,) = problems(spoiled(small, 'v1"', line % "0"))
    assert "upstreams.acme.queue.wait: means nothing with length: 0, where nobody waits" in told
    for fine in (line % "1", 'v1", queue: {length: 0}'):
        assert read(spoiled(small, 'v1"', fine))


@pytest.mark.parametrize("scorer", ["default", "rules"])
def test_a_scorer_on_trial_against_itself(problems, read, small, scorer):
    line = f"[small, large], scorer: {scorer}, candidate: %s"
    (told,) = problems(spoiled(small, "[small, large]", line % scorer))
    assert "routes.waterfall.candidate: is the route's scorer itself" in told
    other = {"default": "rules", "rules": "default"}[scorer]
    assert read(spoiled(small, "[small, large]", line % other))


def test_a_provider_s_cache_that_has_no_price(read, small):
    line = "[small, large], session: {cache: 10m}"
    price = "price: {input: 1, output: 2%s}"
    told = "routes.waterfall.session.cache: means nothing as prices are"
    for tier, cached, warned in (
        ("huge", "", True),
        ("huge", ", cached_input: 1", True),
        ("tiny", ", cached_input: 0.1", True),
        ("huge", ", cached_input: 0.1", False),
    ):
        text = spoiled(small, "[small, large]", line)
        for model in ("tiny", "huge"):
            own = price % (cached if model == tier else "")
            text = spoiled(text, f"model: {model}", f"model: {model}, {own}")
        warnings = read(text).warnings
        assert any(told in each for each in warnings) == warned, (tier, cached)
        off = read(text.replace("cache: 10m", "cache: off")).warnings
        assert not any(told in each for each in off)
