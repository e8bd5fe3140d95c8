"""What simulated models say: seeded, the same however it is told, and as right as they are told."""

from __future__ import annotations

import json
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstreams.simulated.talking import ask

from gateway.core.chat import Draft
from gateway.core.recipes import Recipe, apply, write_marker
from gateway.upstreams.simulated import Accuracy, Answer, Behaviour, Length, Model, read_answers
from gateway.upstreams.simulated.generate import speak
from gateway.upstreams.simulated.render import events, plain_body
from gateway.upstreams.simulated.text import free_text, prompt_tokens, tokens_of
from gateway.upstreams.wire import event_delta, plain_delta

FREE = Behaviour(seed=7)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


@given(texts)
def test_tokens_join_to_their_text(text):
    assert "".join(tokens_of(text)) == text


@given(texts, st.integers(0, 9), st.sampled_from(["small", "large"]), st.integers(1, 3))
def test_the_same_seed_model_and_messages_give_the_same_reply(text, seed, model, n):
    body = ask(text, model, n=n)
    once = speak(Behaviour(seed=seed), body)
    again = speak(Behaviour(seed=seed), {**body, "stream": True, "logprobs": True, "user": "u"})
    assert [said.text for said in once.choices] == [said.text for said in again.choices]
    assert once.usage == again.usage


@given(texts, st.integers(1, 3), st.booleans(), st.integers(1, 40))
def test_plain_and_streamed_tell_the_same(text, n, odds, bound):
    speech = speak(FREE, ask(text, n=n, logprobs=odds, max_tokens=bound))
    plain, streamed = Draft(), Draft()
    plain.add(plain_delta(plain_body(speech, "id", 0, 0), strip_logprobs=False))
    for data, _ in events(speech, "id", 0, 0):
        streamed.add(event_delta(data, strip_usage=False, strip_logprobs=False))
    assert plain.reply(complete=True) == streamed.reply(complete=True)
    assert sum(tokens for _, tokens in events(speech, "id", 0, 0)) == speech.usage.completion


def test_seed_model_and_prompt_each_make_a_difference():
    told = {
        speak(Behaviour(seed=seed), ask(text, model)).choices[0].text
        for seed in (1, 2)
        for text in ("a", "b")
        for model in ("small", "large")
    }
    assert len(told) == 8


def test_choices_differ_and_are_counted():
    speech = speak(FREE, ask(n=3))
    assert len({said.text for said in speech.choices}) == 3
    assert speech.usage.completion == sum(len(said.tokens) for said in speech.choices)


def test_the_prompt_s_count_is_as_documented():
    assert prompt_tokens(ask("x" * 9)) == 3 + 4 + 3
    tool = {"type": "function", "function": {"name": "f"}}
    assert prompt_tokens(ask("x", tools=[tool])) == 3 + 4 + 1 + -(-len(str([tool])) // 4)


def test_a_long_system_prompt_is_cached_in_steps():
    body = ask()
    body["messages"].insert(0, {"role": "system", "content": "x" * 4 * 1100})
    assert speak(FREE, body).usage.cached == 1024
    assert speak(FREE, ask()).usage.cached == 0


def test_the_bound_and_the_stop_are_honoured():
    whole = speak(FREE, ask()).choices[0]
    short = speak(FREE, ask(max_completion_tokens=5)).choices[0]
    assert (short.tokens, short.finish) == (whole.tokens[:5], "length")
    word = whole.text.split()[4]
    stopped = speak(FREE, ask(stop=[word])).choices[0]
    assert (stopped.text, stopped.finish) == (whole.text.split(word)[0], "stop")


def test_logprobs_come_only_when_asked_and_one_a_token():
    assert speak(FREE, ask()).choices[0].logprobs == ()
    said = speak(FREE, ask(logprobs=True)).choices[0]
    assert len(said.logprobs) == len(said.tokens)
    assert all(odd <= 0 for odd in said.logprobs)


def test_top_logprobs_are_ranked():
    speech = speak(FREE, ask(logprobs=True, top_logprobs=3))
    body = json.loads(plain_body(speech, "id", 0, 3))
    for token in body["choices"][0]["logprobs"]["content"]:
        odds = [top["logprob"] for top in token["top_logprobs"]]
        assert len(odds) == 3
        assert odds == sorted(odds, reverse=True)
        assert token["top_logprobs"][0]["token"] == token["token"]


# ------------------------------------------------------------------ the answer key

KEY = {f"{a} plus {b}?": Answer(str(a + b), hard=b > 19) for a in range(40) for b in range(40)}


def _share_right(behaviour, model, hard=None, system=None):
    right = []
    for prompt, answer in behaviour.answers.items():
        if hard is None or answer.hard == hard:
            body = ask(prompt, model)
            if system:
                body["messages"].insert(0, {"role": "system", "content": system})
            right.append(speak(behaviour, body).choices[0].text == answer.right)
    return mean(right)


def test_a_model_is_as_right_as_it_is_told():
    models = {
        "small": Model(Accuracy(0.9, 0.3), coached=(("step by step", Accuracy(0.95, 0.6)),)),
        "large": Model(Accuracy(1.0, 1.0)),
        "none": Model(Accuracy(0.0, 0.0)),
    }
    behaviour = Behaviour(3, models, answers=KEY)
    assert _share_right(behaviour, "small", hard=False) == pytest.approx(0.9, abs=0.05)
    assert _share_right(behaviour, "small", hard=True) == pytest.approx(0.3, abs=0.05)
    coached = _share_right(behaviour, "small", hard=True, system="Think step by step.")
    assert coached == pytest.approx(0.6, abs=0.05)
    assert _share_right(behaviour, "large") == 1
    assert _share_right(behaviour, "none") == 0


def test_doubt_tells_right_from_wrong_but_not_always():
    behaviour = Behaviour(3, {"small": Model(Accuracy(0.5, 0.5))}, answers=KEY)
    doubts = {True: [], False: []}
    for prompt, answer in KEY.items():
        speech = speak(behaviour, ask(prompt))
        doubts[speech.choices[0].text == answer.right].append(speech.doubt)
    right, wrong = sorted(doubts[True]), sorted(doubts[False])
    assert 2 * mean(right) < mean(wrong)
    assert right[-1] > wrong[0]


def test_a_not_sure_recipe_is_obeyed_and_changes_nothing_else():
    behaviour = Behaviour(3, {"small": Model(Accuracy(0.5, 0.5))}, answers=KEY)
    marker = write_marker(0x1234)
    unsure = 0
    for prompt in list(KEY)[:200]:
        plain = speak(behaviour, ask(prompt))
        body = ask(prompt)
        body["messages"] = apply(Recipe("r", 1, not_sure=True), body["messages"], marker)
        marked = speak(behaviour, body).choices[0].text
        unsure += marked.endswith(marker)
        assert marked.removesuffix(f" {marker}") == plain.choices[0].text
    assert 0 < unsure < 200


def test_a_free_reply_does_not_depend_on_the_marker():
    texts = set()
    for entropy in (1, 2):
        body = ask()
        body["messages"] = apply(
            Recipe("r", 1, not_sure=True), body["messages"], write_marker(entropy)
        )
        texts.add(speak(FREE, body).choices[0].text.split(" [unsure")[0])
    assert len(texts) == 1


def test_wrong_answers_come_from_the_key_s_own_list():
    answers = read_answers({"capital?": {"answer": "Oslo", "wrong": ["Bergen"], "hard": True}})
    behaviour = Behaviour(0, {"m": Model(Accuracy(0.0, 0.0))}, answers=answers)
    assert "Bergen" in speak(behaviour, ask("capital?", "m")).choices[0].text


@pytest.mark.parametrize("bad", [{"p": 3}, {"p": {"hard": True}}, {"p": ["x"]}])
def test_an_answer_that_is_none_names_its_prompt(bad):
    with pytest.raises(ValueError, match="'p'"):
        read_answers(bad)


@pytest.mark.parametrize("text", ["", "1.2", "0.5/-1", "x"])
def test_an_accuracy_is_a_probability(text):
    with pytest.raises(ValueError):
        Accuracy.read(text)


def test_lengths_follow_their_median():
    behaviour = Behaviour(models={"m": Model(length=Length(median=100, sigma=0.2))})
    counts = [len(speak(behaviour, ask(str(i), "m")).choices[0].text.split()) for i in range(200)]
    assert 80 < mean(counts) < 125


@given(st.randoms(use_true_random=False), st.integers(0, 50))
def test_free_text_has_the_words_it_is_asked_for(random, words):
    assert len(free_text(random, words).split()) >= words
