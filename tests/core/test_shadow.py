from __future__ import annotations

import pytest
from sample_entries import DEFER, LARGE, SMALL, attempt

from gateway.core.errors import UpstreamTimeout
from gateway.core.shadow import Shadow, drawn, shadow_row


@pytest.mark.parametrize(
    ("made", "result"),
    [
        (attempt(SMALL), "accept"),
        (attempt(SMALL, DEFER), "defer"),
        (attempt(SMALL, None, failure=UpstreamTimeout("slow")), "failed"),
        (attempt(SMALL, None), "cancelled"),
        (None, "skipped"),
    ],
)
def test_its_result_in_a_word(made, result):
    assert Shadow("entry-1", "waterfall", 1.0, made).result == result


def test_its_row_says_whose_it_is():
    made = attempt(LARGE)
    flat = shadow_row(Shadow("entry-1", "waterfall", 9.5, made), made)
    assert flat["shadow"] == {"entry_id": "entry-1", "started_at": 9.5}
    (own,) = (each["attempt"] for each in flat["attempts"])
    assert (own["tier"], own["shadow"]) == ("large", True)


def test_a_share_of_the_ids_is_drawn_and_always_the_same():
    ids = [str(number) for number in range(2_000)]
    drawn_ids = {each for each in ids if drawn(each, 0.25)}
    assert 400 < len(drawn_ids) < 600
    assert drawn_ids == {each for each in ids if drawn(each, 0.25)}
    assert not any(drawn(each, 0.0) for each in ids)
