"""Other models' answers to the same questions, out of a long file: what agreement is made of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.core.chat import CHARS_PER_TOKEN
from gateway.core.signals import Signals
from router_models.difficulty.data import usd
from router_models.difficulty.duplicates import normal
from router_models.difficulty.formats import DataError, Record, records

LONG: Final = "_long"
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One model's answer to one question, and what it cost in USD."""

    answer: str
    cost: float


class Samples:
    """By normalised prompt: the samples of `models`."""

    def __init__(
        self, models: Sequence[str], found: Mapping[str, Mapping[str, Sample]], lost: Counter[str]
    ) -> None:
        """`lost` counts by model the answers without a cost."""
        self.models = tuple(models)
        self._found, self._lost = found, lost

    def of(self, signals: Signals) -> dict[str, Sample]:
        """Return what there is of a question, by model."""
        return dict(self._found.get(normal(signals.text), {}))

    def unusable(self, model: str) -> str:
        """Say why a model has no sample on any of the questions."""
        if self._lost[model]:
            return (
                f"its {self._lost[model]:,} answers have no recorded cost: state its list price "
                f"(--sample-price {model}=IN:OUT, USD per million tokens)"
            )
        return "it answered none of these questions"


def read_samples(
    path: Path,
    models: Sequence[str],
    prompts: Iterable[Path] = (),
    prices: Mapping[str, tuple[float, float]] | None = None,
) -> Samples:
    """Read a long file: prompt_id, model, pred and cost_est or cost, and out_chars.

    The prompts of its ids are in itself, in `prompts`, or in the pair files beside it whose names
    begin as its own does. An answer without a cost is of no use unless its model's list price is
    stated: `prices`, USD per million tokens of prompt and of completion. Raises DataError.
    """
    rows = [row for row in records(path) if row.get("model") in set(models)]
    columns = set(rows[0]) if rows else set()
    if not rows:
        raise DataError(f"{path}: it holds no answer of {', '.join(models)}.")
    if "pred" not in columns:
        raise DataError(f"{path}: no column 'pred': without answers there is no agreement.")
    texts = _texts(path, prompts, whole="prompt" in columns)
    found: dict[str, dict[str, Sample]] = defaultdict(dict)
    lost: Counter[str] = Counter()
    for row in rows:
        text = str(row.get("prompt") or texts.get(str(row["prompt_id"])) or "")
        model = str(row["model"])
        try:
            cost = _cost(row, text, (prices or {}).get(model))
        except ValueError as error:
            raise DataError(f"{path}: {error}") from error
        if cost is None:
            lost[model] += 1
        elif text:
            found[normal(text)][model] = Sample(str(row.get("pred") or ""), cost)
    return Samples(models, found, lost)


def _cost(row: Record, text: str, price: tuple[float, float] | None) -> float | None:
    recorded = usd(row, "cost") if row.get("cost") else usd(row, "cost_est")
    if recorded is not None or price is None:
        return recorded
    prompt, completion = len(text), usd(row, "out_chars") or 0.0
    return (prompt * price[0] + completion * price[1]) / CHARS_PER_TOKEN / _MILLION


def _texts(path: Path, prompts: Iterable[Path], *, whole: bool) -> dict[str, str]:
    """Map ids to prompts."""
    given = list(prompts)
    if not given and not whole:
        stem = path.name.partition(".")[0]
        if not stem.endswith(LONG):
            raise DataError(f"{path}: it holds no prompts; name a file that does.")
        begins = stem.removesuffix(LONG)
        given = sorted(each for each in path.parent.glob(f"{begins}_*") if each != path)
    texts: dict[str, str] = {}
    for each in given:
        texts |= {str(row.get("prompt_id")): str(row.get("prompt") or "") for row in records(each)}
    return texts
