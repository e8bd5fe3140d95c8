"""The pair's network: a small decoder of the llama family, shaped as llama.cpp computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a network; `context` is the longest chat that it is said to take, in tokens."""

    width: int
    layers: int
    heads: int
    hidden: int
    context: int = 2048
    epsilon: float = 1e-5
    rope_base: float = 10_000.0


class Layer(nn.Module):
    """Attention over what came before, then a gated feed-forward step; both added to the stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attn_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.attn_q = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_k = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_v = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_output = nn.Linear(shape.width, shape.width, bias=False)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.ffn_gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, stream: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """(batch, tokens, width) to the same."""
        seen = self.attn_norm(stream)
        query, key, value = (
            part(seen).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.attn_q, self.attn_k, self.attn_v)
        )
        mixed = functional.scaled_dot_product_attention(
            _turned(query, turn), _turned(key, turn), value, is_causal=True
        )
        stream = stream + self.attn_output(mixed.transpose(1, 2).flatten(2))
        seen = self.ffn_norm(stream)
        return stream + self.ffn_down(functional.silu(self.ffn_gate(seen)) * self.ffn_up(seen))


class Network(nn.Module):
    """Token ids to the scores of the next token; parameters carry GGUF's names."""

    def __init__(self, shape: Shape, words: int) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(words, shape.width)
        self.blk = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.output = nn.Linear(shape.width, words, bias=False)
        nn.init.normal_(self.token_embd.weight, std=0.5)
        for layer in self.blk:
            nn.init.zeros_(layer.attn_output.weight)
            nn.init.zeros_(layer.ffn_down.weight)

    def forward(self, ids: Tensor, wanted: Tensor) -> Tensor:
        """Scores (n, words) at the `wanted` places, a mask shaped as `ids`: (batch, tokens)."""
        turn = _turns(self.shape, ids.shape[1])
        stream = self.token_embd(ids)
        for layer in self.blk:
            stream = layer(stream, turn)
        scores: Any = self.output(self.output_norm(stream[wanted]))
        return scores


def _turns(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (tokens, half a head) of rotary positions."""
    half = shape.width // shape.heads // 2
    speeds = shape.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), speeds)
    return angles.cos(), angles.sin()


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotates neighbouring pairs of a head's numbers, which is how llama.cpp pairs them."""
    cosine, sine = turn
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1).flatten(-2)
