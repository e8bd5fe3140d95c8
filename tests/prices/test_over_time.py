"""Several prices of one model over time, by length, by service and by the hour of a GPU."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from gateway.config import ConfigError, PriceSettings
from gateway.core.money import Price, Usage, dollars
from gateway.prices.book import in_force, open_book, read_book, read_timelines

ROOT = Path(__file__).resolve().parents[2]
TIMES = """\
version: mine
models:
  steady: {input: 1, output: 2}
  moving:
    - {input: 3, output: 15}
    - {since: 2026-12-01, input: 2, output: 10}
    - {since: 2027-03-01, input: 1, output: 5}
  later: {since: 2027-01-01, input: 7, output: 7}
"""


def midnight(*day):
    return datetime(*day, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("on", "moving", "later", "until"),
    [
        (date(2020, 1, 1), 3, None, midnight(2026, 12, 1)),
        (date(2026, 11, 30), 3, None, midnight(2026, 12, 1)),
        (date(2026, 12, 1), 2, None, midnight(2027, 1, 1)),
        (date(2027, 1, 1), 2, 7, midnight(2027, 3, 1)),
        (date(2027, 3, 1), 1, 7, None),
    ],
)
def test_what_holds_on_a_day_and_until_when(on, moving, later, until):
    book = in_force([read_timelines(TIMES, "mine.yaml")], on)
    assert book["moving"].input == moving * 10**9
    assert book.get("later", Price()).input == (later or 0) * 10**9
    assert book.until == until
    assert dict(book.coming) == ({} if later else {"later": date(2027, 1, 1)})
    assert book["steady"].version == "mine"


def test_the_user_s_book_wins_from_its_first_day_on():
    other = read_timelines("models: {later: {input: 9, output: 9}}", "theirs.yaml")
    books = [other, read_timelines(TIMES, "mine.yaml")]
    assert in_force(books, date(2026, 12, 31))["later"].input == 9 * 10**9
    assert in_force(books, date(2027, 1, 1))["later"].input == 7 * 10**9
    assert dict(in_force(books, date(2026, 12, 31)).coming) == {}


def test_of_several_files_the_last_wins(tmp_path):
    paths = tuple(tmp_path / name for name in ("a.yaml", "b.yaml"))
    for amount, path in enumerate(paths, start=1):
        path.write_text(f"models: {{m: {{input: {amount}, output: {amount}}}}}\n")
    assert open_book(PriceSettings("none", paths))["m"].input == 2 * 10**9
    assert open_book(PriceSettings("none", paths[::-1]))["m"].input == 10**9


LONG = """\
models:
  m:
    input: 1.25
    output: 10
    cached_input: 0.125
    reasoning: 12
    request: 0.001
    above: {200k: {input: 2.5, output: 15}, 1M: {output: 20}}
    services:
      flex: {input: 0.6, cached_input: 0.06}
      priority: {input: 2, above: {200k: {input: 4}, 500k: {input: 5}}}
"""


def rates(price, prompt, service=""):
    found = price.rates(Usage(prompt, service=service))
    return [float(dollars(each)) for each in (found.input, found.cached_input, found.output)]


@pytest.mark.parametrize(
    ("prompt", "service", "expected"),
    [
        (200_000, "", [1.25, 0.125, 10]),
        (200_001, "", [2.5, 0.125, 15]),
        (1_000_001, "", [2.5, 0.125, 20]),
        (200_000, "flex", [0.6, 0.06, 10]),
        (200_001, "flex", [2.5, 0.06, 15]),
        (200_000, "priority", [2, 0.125, 10]),
        (200_001, "priority", [4, 0.125, 15]),
        (500_001, "priority", [5, 0.125, 15]),
        (1_000_001, "priority", [5, 0.125, 20]),
    ],
)
def test_what_is_not_said_is_as_under_it(prompt, service, expected):
    price = read_book(LONG, "p.yaml")["m"]
    assert rates(price, prompt, service) == expected
    found = price.rates(Usage(prompt, service=service))
    assert (found.reasoning, found.request) == (12 * 10**9, 10**6)


def test_a_model_of_one_s_own():
    text = """
models:
  one: {hosted: {gpu_hour: 2.5, tokens_per_second: 2500, utilisation: 50%}, cached_input: 0.01}
  two: {hosted: {gpu_hour: 2.5, tokens_per_second: {input: 20000, output: 2500}, utilisation: 0.5}}
"""
    book = read_book(text, "p.yaml")
    assert [round(book["one"].input / 10**9, 4), round(book["one"].output / 10**9, 4)] == [
        0.5556
    ] * 2
    assert book["one"].cached_input == 10**7
    assert round(book["two"].input / 10**9, 5) == 0.06944
    assert book["two"].output == book["one"].output


def test_free_is_a_word():
    price = read_book("models: {m: free}", "p.yaml")["m"]
    assert price == Price().sealed("p.yaml") != Price()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{m: []}", "models.m: must have at least one price"),
        ("{m: [3]}", "models.m[0]: must be a mapping (got ***)"),
        ("{m: cheap}", "models.m: must be a mapping (got ***)"),
        (
            "{m: [{input: 1, output: 1}, {input: 1, output: 1}]}",
            "models.m[1].since: must be later than that of the price before it",
        ),
        (
            "{m: [{since: 2026-02-30, input: 1, output: 1}]}",
            "models.m[0].since: must be a date such as 2026-11-22 (got '2026-02-30')",
        ),
        ("{m: {input: 1, output: 1, above: {many: {input: 2}}}}", "must be a number of tokens"),
        (
            "{m: {input: 1, output: 1, above: {200k: {inptu: 2}}}}",
            "models.m.above.200k.inptu: unknown key; did you mean 'input'?",
        ),
        (
            "{m: {input: 1, hosted: {gpu_hour: 1, tokens_per_second: 9, utilisation: 1}}}",
            "models.m.input: means nothing beside hosted; remove one of them",
        ),
        (
            "{m: {hosted: {gpu_hour: 1, tokens_per_second: 0, utilisation: 1}}}",
            "must be a number of tokens a second, or {input: 20000, output: 2500} (got 0)",
        ),
        (
            "{m: {hosted: {gpu_hour: 1, tokens_per_second: 9, utilisation: 0}}}",
            "models.m.hosted.utilisation: must be a share over 0",
        ),
    ],
)
def test_what_is_no_price(text, message):
    with pytest.raises(ConfigError) as caught:
        read_timelines(f"models: {text}", "p.yaml")
    assert message in str(caught.value)


PAGE = (ROOT / "docs" / "prices.md").read_text(encoding="utf-8")


def test_the_price_files_that_are_shown_are_price_files():
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    lines = read_timelines(shown, "prices.yaml")
    assert set(lines) == {"acme-large", "acme-small", "acme-long", "ours", "toy"}
    assert lines["acme-small"][1].since == date(2027, 1, 1)
    kept = read_timelines((ROOT / "deploy" / "prices.yaml").read_bytes(), "prices.yaml")
    assert {model: len(line) for model, line in kept.items()} == {
        "acme-large": 2,
        "acme-long": 1,
        "own-8b": 1,
    }
