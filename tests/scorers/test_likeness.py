"""How alike are two short texts?"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.scorers.likeness import alike


def test_texts_of_one_meaning_are_more_alike_than_texts_of_another():
    assert alike("a big dog", "a large dog") > alike("a big dog", "a monthly invoice")


def test_words_that_nobody_has_met_are_like_themselves_only():
    assert alike("qzxv", "qzxv") > 0.99
    assert alike("qzxv", "vxzq") == 0.0


def test_nothing_is_said_of_a_text_without_words():
    assert alike("?!", "a dog") is None


@given(one=st.text(max_size=80), other=st.text(max_size=80))
def test_likeness_is_symmetric_and_from_0_to_1(one, other):
    found = alike(one, other)
    assert found is None or 0.0 <= found <= 1.0
    assert found == alike(other, one)
