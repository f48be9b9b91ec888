"""Which bytes of the weights one card holds when several share a model.

DeepSpeed slices while it loads (AutoTP, ``module_inject/auto_tp.py`` and ``tp_shard.py``): every
linear layer inside a decoder layer, attention by heads and the MLP in grains of 64, and the head
by its columns. Embeddings, norms and biases stay whole on every card; vLLM slices the embedding
as well, so what is counted here is the most that either of them needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from convert.architectures.base import DecoderConfig
from convert.graph import Role
from passes.quantize import coverage

GRAIN = 64
"""Columns that DeepSpeed keeps together (``tp_grain_size`` of its inference config)."""


@dataclass(frozen=True)
class Footprint:
    """Bytes of a model's weights, by how cards share them.

    Args:
        attention: Linear layers of the attention, shared by heads.
        mlp: The other linear layers, shared in grains of the inner size.
        embedding: Whole on every card.
        head: Shared by columns; of a tied model, the bytes a card needs beside the embedding
            when there are several, since its slice is a copy.
        vectors: Norms and biases, whole on every card.
        tied: Whether the head is the embedding.
    """

    attention: int
    mlp: int
    embedding: int
    head: int
    vectors: int
    tied: bool

    def on_a_card(self, config: DecoderConfig, cards: int) -> tuple[int, int]:
        """Bytes on the fullest of ``cards`` cards: shared layers, and what is whole on each."""
        heads = -(-config.kv_heads // cards)
        shared = -(-self.attention * heads // config.kv_heads)
        shared += _share(self.mlp, config.ffn, cards)
        if not self.tied or cards > 1:
            shared += _share(self.head, config.hidden, cards)
        return shared, self.embedding + self.vectors

    def read_for_a_token(self, config: DecoderConfig, cards: int) -> int:
        """Bytes of weights that a card reads for one token; of an embedding, a row."""
        shared, _ = self.on_a_card(config, cards)
        lone_head = self.embedding if self.tied and cards == 1 else 0
        return shared + lone_head + self.vectors


def footprint(model: ir.Model) -> Footprint:
    """Count the bytes of a graph whose parameters have their encodings."""
    attention = mlp = embedding = head = vectors = 0
    for tensor in coverage(model):
        if tensor.role == Role.EMBEDDING.value:
            embedding += tensor.nbytes
        elif tensor.role == Role.HEAD.value:
            head += tensor.nbytes
        elif tensor.role == Role.OTHER.value:
            vectors += tensor.nbytes
        elif ".mlp." in tensor.name:
            mlp += tensor.nbytes
        else:
            attention += tensor.nbytes
    tied = head == 0
    return Footprint(attention, mlp, embedding, embedding if tied else head, vectors, tied)


def uneven_heads(config: DecoderConfig, cards: int) -> str | None:
    """What a user should know where a number of cards cannot share the heads evenly.

    vLLM asserts that it divides them, and the ALiBi of optimum-habana reshapes to the ranks. The
    checkpoint itself is whole, so other numbers of cards can use it.
    """
    if config.heads % cards == 0:
        return None
    divisors = [count for count in range(1, config.heads + 1) if config.heads % count == 0]
    return (
        f"{cards} cards cannot share {config.heads} attention heads: run the checkpoint on one "
        f"of {', '.join(map(str, divisors))}"
    )


def _share(nbytes: int, width: int, cards: int) -> int:
    """Bytes of the largest of ``cards`` slices of a matrix that is ``width`` wide, rounded up."""
    grains = -(-width // GRAIN)
    widest = min(width, -(-grains // cards) * GRAIN)
    return -(-nbytes * widest // width)
