"""Sentence embeddings to hold the static vectors against: all-MiniLM-L6-v2, on one core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final

import numpy as np

from gateway.core.ports import Scorer
from gateway.scorers import load
from gateway.scorers.features import Array
from gateway.scorers.tidy import clip
from router_models.difficulty.data import Row
from router_models.difficulty.evaluate import table_of
from router_models.difficulty.export import write_artefact
from router_models.difficulty.model import Settings, fit
from router_models.difficulty.remote import Embed

TOKENS: Final = 128
"""Word pieces that are read of a prompt: what the model was trained on."""
TIMED: Final = 200
"""Prompts whose CPU time is taken, one at a time."""
LEARNT: Final = 1000
"""Rows that the scorer is made of whose time is taken: more do not make it slower."""


def sentences(folder: Path) -> Embed:
    """Return what embeds with the sentence-transformer in a folder."""
    import torch  # noqa: PLC0415 (only this needs it)
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    torch.set_num_threads(1)
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = TOKENS

    def embed(texts: Sequence[str]) -> Array:
        found = model.encode(list(texts), batch_size=32, show_progress_bar=False)
        return np.asarray(found, np.float64)

    return embed


def cpu_times(rows: Sequence[Row], embed: Embed) -> dict[str, float]:
    """Return the mean CPU time in milliseconds of a prompt, one at a time: of the whole scorer, as
    the gateway asks it, and of an embedding alone."""
    scorer = _scorer(rows[:LEARNT])
    asked = [row.signals for row in rows[:TIMED]]
    return {
        "the whole scorer": _time(lambda: [scorer.score(each) for each in asked], len(asked)),
        "an embedding": _time(lambda: [embed([clip(each.text)]) for each in asked], len(asked)),
    }


def _scorer(rows: Sequence[Row]) -> Scorer:
    table = table_of(rows)
    texts = [row.signals.text for row in rows]
    with TemporaryDirectory() as folder:
        write_artefact(Path(folder), fit(table, Settings()), "timed@1", {}, table, texts)
        return load(Path(folder))


def _time(work: Callable[[], object], count: int) -> float:
    started = process_time()
    work()
    return (process_time() - started) / count * 1e3
