"""Do a reply's sums come out, and how long is it?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.checks.reckoning import arithmetic, brevity
from gateway.core.chat import ChatRequest, Choice, Reply
from gateway.core.verdict import ABSTAIN

REQUEST = ChatRequest({"messages": [{"role": "user", "content": "?"}]})


def replied(*texts, complete=True):
    return Reply(tuple(Choice(text) for text in texts), complete=complete)


SUMS = {
    "3 + 4 = 7": 1.0,
    "3 + 4 = 8": 0.0,
    "She pays 12 * $3 = $36, then 36 - 6 = 31.": 0.5,
    "6 x $6000 = $<<6*6000=36000>>36,000": 1.0,
    "(2 + 3) * 4 = 20": 1.0,
    "2 + 3 * 4 = 14": 1.0,
    "-2": None,
    "10 \u00f7 4 = 2.5 and 3 \u00d7 2 = 6": 1.0,
    "100 / 3 = 33.33": 1.0,
    "1,250 + 1 = 1,251": 1.0,
    "4 - -1 = 5": 1.0,
    "x = 7": None,
    "7 = 7": None,
    "1 / 0 = 3": None,
    "(20 - 4 = 16)": 1.0,
    "10 + 68 / 2 = 10 + 34 = 44": 1.0,
    "10 + 68 / 2 = 10 + 34 = 45": 0.5,
    "16 students * 3/4 = 12": None,
    "3/4 of 16 = $<<16*3/4=12>>12": 1.0,
    "25% of 80 = 20": 1.0,
    "3/4 = 75%": 1.0,
    "10 / 4 = 4": 0.0,
    "100 / 3 = 33.3": 1.0,
    "99 * 101 = 9,989": 0.0,
    "2x + 4 = 10": None,
    "3 = 27 - 9b": None,
    "f(3) + 2 = 4, q(-1)=2": None,
    "2 * 3 = 6 million": None,
    "- 2 * 3 = 6": 1.0,
    "**2 * 3 = 6**": 1.0,
    r"\( \frac{1}{2} \times 8 = 4 \)": 1.0,
    "1 + 2) = 3": None,
    "(1 + 2( = 3": None,
    "1 + = 3": None,
    "1 2 + 3 = 6": None,
    "9999999999 * 9999999999 * 9999999999 * 9999999999 = 3": None,
    "No sum at all.": None,
}


@pytest.mark.parametrize(("text", "share"), SUMS.items())
def test_the_share_of_the_sums_that_come_out(text, share):
    assert arithmetic(REQUEST, replied(text)).confidence == share


def test_all_choices_count():
    assert arithmetic(REQUEST, replied("1 + 1 = 2", "1 + 1 = 3")).confidence == 0.5


def test_brevity_is_a_half_at_its_length_and_of_the_longest_choice():
    assert brevity(REQUEST, replied("x" * 800)).confidence == 0.5
    assert brevity(REQUEST, replied("x", "x" * 2400)).confidence == 0.25
    assert brevity(REQUEST, replied("")).confidence == 1.0


@pytest.mark.parametrize("check", [arithmetic, brevity])
def test_neither_speaks_of_what_is_not_whole(check):
    assert check(REQUEST, replied("1 + 1 = 3", complete=False)) == ABSTAIN
    assert check(REQUEST, replied()) == ABSTAIN


@pytest.mark.parametrize("part", ["1 ", "1+", "(1", "((", "1=1", "$1 x ", "1.1.", "<<1=", "= 1 "])
def test_a_hostile_reply_takes_no_time_to_speak_of(part):
    assert arithmetic(REQUEST, replied(part * 20_000)).result in {"pass", "abstain"}


@given(text=st.text(alphabet="0123456789+-*/x=().,$<> \n", max_size=80))
def test_any_text_gives_a_share_or_nothing(text):
    confidence = arithmetic(REQUEST, replied(text)).confidence
    assert confidence is None or 0 <= confidence <= 1
