"""Our costs beside litellm's own calculator's, for every model that is taken over and drawn mixes.

litellm is large and wants the network when it is imported: it lives in an environment of its own.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import orjson
import pytest
from live.environments import python_with

from gateway.core.money import NANO, Price, Usage
from gateway.prices.book import read_timelines
from gateway.prices.from_litellm import read_prices
from gateway.prices.imported import merge

CASES = Path(__file__).with_name("litellm_cases.py")
LIMIT = 600.0
MIXES = 8
"""Calls of each model."""
EDGES = (1, 1_000, 32_000, 32_001, 127_999, 128_000, 128_001, 200_000, 200_001, 272_001, 900_000)
"""Lengths of prompts, on both sides of where vendors' bands begin."""
ROUNDING = 8
"""Nano-dollars: half of one for each kind of token, and litellm's own error, which has floats."""

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Case:
    """One call: a model, litellm's entry of it, our price, and what was used."""

    model: str
    entry: dict
    price: Price
    usage: Usage

    @property
    def asked(self):
        return [self.model, self.entry.get("litellm_provider"), asdict(self.usage)]


@pytest.fixture(scope="module")
def python():
    """The Python of an environment that has litellm and nothing of ours."""
    return python_with("litellm")


def calculate(python, cases):
    """Ask litellm what these calls cost, in dollars; and where its file is."""
    given = json.dumps([case.asked for case in cases])
    done = subprocess.run(
        [python, CASES], input=given, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads(done.stdout)


def sampled(file):
    """Draw mixes for each model; what litellm's calculator of batches knows of a mix is less."""
    found = read_prices(file, ["*"])
    text = merge(Path("nowhere.yaml"), found, date(2026, 1, 1)).text
    book = {model: line[-1].price for model, line in read_timelines(text, "litellm").items()}
    entries = orjson.loads(file.read_bytes())
    draw = random.Random(20_261_126)

    def part(whole):
        return draw.choice((0, 0, draw.randrange(whole + 1)))

    for model in sorted(book):
        services = ["", "", *(name for name, _ in book[model].services)]
        for _ in range(MIXES):
            prompt, completion, service = (
                draw.choice(EDGES),
                draw.randrange(1, 9_000),
                draw.choice(services),
            )
            written = part(prompt // 3)
            usage = Usage.clamped(
                *(prompt, completion, part(prompt // 2), written, part(completion // 2)),
                service=service,
                cache_write_1h=part(written),
                audio_input=part(prompt // 4),
                image_input=part(prompt // 4),
                audio_output=part(completion // 4),
                image_output=part(completion // 4),
            )
            if service == "batch":
                usage = Usage(min(prompt, 32_000), completion, service=service)
            yield Case(model, entries[model], book[model], usage)


def why_they_differ(case, entries):
    """Name the exception that a case is, empty where there is no reason to differ."""
    provider, usage = str(case.entry.get("litellm_provider")), case.usage
    if provider == "fireworks_ai" and usage.service:
        return "its calculator for Fireworks leaves out the tier of service that its file prices"
    if provider == "fireworks_ai" and usage.cached and case.price.cached_input is None:
        return "it supposes a price of Fireworks' cached tokens where its file has none"
    if provider == "perplexity" and (
        " above " in f" {case.price.rate(usage)}" or usage.cache_write
    ):
        return "its calculator for Perplexity leaves out bands and what is written to the cache"
    batches = {f"{way}_cost_per_token_batches" for way in ("input", "output")}
    if usage.service == "batch" and not batches <= set(case.entry):
        return "where the file has half of a batch's price, it takes half of the common one"
    twins = (f"{provider}/{case.model}", case.model.removeprefix(f"{provider}/"))
    if any(entries.get(twin, case.entry) != case.entry for twin in twins):
        return "asked by provider and model, it reads another entry, with one provider more or less"
    return ""


def test_costs_are_litellm_s_own_wherever_its_entry_is_right(python):
    file = Path(calculate(python, [])["file"])
    cases = list(sampled(file))
    told, entries = calculate(python, cases), orjson.loads(file.read_bytes())
    assert len(told["costs"]) == len(cases) >= 1_000 * MIXES
    differ, unexplained = Counter(), []
    for case, theirs in zip(cases, told["costs"], strict=True):
        ours = case.price.cost(case.usage).total
        if isinstance(theirs, float) and abs(ours - theirs * NANO) <= ROUNDING + theirs:
            continue
        reason = why_they_differ(case, entries)
        differ[reason] += 1
        if not reason:
            unexplained.append((case.model, case.usage, ours, theirs))
    agreed = len(cases) - differ.total()
    print(f"litellm {told['version']}: {agreed} of {len(cases)} calls agree; {dict(differ)}")  # noqa: T201
    assert not unexplained, unexplained[:5]
    assert agreed / len(cases) > 0.98
