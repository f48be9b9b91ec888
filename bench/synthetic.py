"""Builds a checkpoint of a chosen shape, with random weights or as a sparse file of zeros.

    python -m bench.synthetic 1b /dev/shm/bench/1b
    python -m bench.synthetic 13b /var/tmp/13b --sparse
    python -m bench.synthetic bloom-176b /var/tmp/bloom --sparse

The file is laid out as transformers saves one: safetensors of at most 5 GB, with an index if there
are several. The tokenizer is a real one; its vocabulary may be smaller than the model's.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench.fetch_models import fetch_smollm2
from convert.architectures import architecture_of

SHARD_BYTES = 5_000_000_000
ITEM_BYTES = 2
BLOCK = 1 << 22
"""Weights drawn from one random stream; a tensor of any size is made of such blocks."""

DEVIATION = 0.02
DEMO = Path(__file__).resolve().parent.parent / "golden" / "models" / "tiny-llama"


@dataclass(frozen=True)
class ModelShape:
    """Dimensions of a Llama; every head is untied from the embedding."""

    hidden: int
    layers: int
    ffn: int
    heads: int
    kv_heads: int
    vocab: int
    positions: int = 4096

    def config(self) -> dict[str, object]:
        """The ``config.json`` of this shape."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "intermediate_size": self.ffn,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.hidden // self.heads,
            "vocab_size": self.vocab,
            "max_position_embeddings": self.positions,
            "rms_norm_eps": 1e-05,
            "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": False,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "dtype": "bfloat16",
        }

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor, in the order of use."""
        architecture = architecture_of(self.config())
        return architecture.parameters(architecture.parse(self.config()))


@dataclass(frozen=True)
class YuanShape(ModelShape):
    """Dimensions of a Yuan 2.0."""

    def config(self) -> dict[str, object]:
        return {
            "architectures": ["YuanForCausalLM"],
            "model_type": "yuan",
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "intermediate_size": self.ffn,
            "num_attention_heads": self.heads,
            "vocab_size": self.vocab,
            "max_position_embeddings": self.positions,
            "rms_norm_eps": 1e-06,
            "tie_word_embeddings": False,
            "eos_token_id": 2,
            "torch_dtype": "bfloat16",
        }


@dataclass(frozen=True)
class BloomShape(ModelShape):
    """Dimensions of a BLOOM, as the family's own config says them."""

    def config(self) -> dict[str, object]:
        return {
            "architectures": ["BloomForCausalLM"],
            "model_type": "bloom",
            "n_embed": self.hidden,
            "n_layer": self.layers,
            "n_inner": self.ffn,
            "num_attention_heads": self.heads,
            "vocab_size": self.vocab,
            "seq_length": self.positions,
            "layer_norm_epsilon": 1e-05,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 3,
            "torch_dtype": "bfloat16",
        }


def bloom(hidden: int, layers: int, heads: int) -> BloomShape:
    """A BLOOM with the family's vocabulary; its feed-forward width follows from the hidden one."""
    return BloomShape(hidden, layers, 4 * hidden, heads, heads, vocab=250880, positions=2048)


SHAPES: Mapping[str, ModelShape] = {
    "tiny": ModelShape(hidden=64, layers=2, ffn=192, heads=4, kv_heads=2, vocab=1280),
    "1b": ModelShape(hidden=2048, layers=22, ffn=5632, heads=32, kv_heads=4, vocab=49152),
    "7b": ModelShape(hidden=4096, layers=32, ffn=11008, heads=32, kv_heads=32, vocab=32000),
    "13b": ModelShape(hidden=5120, layers=40, ffn=13824, heads=40, kv_heads=40, vocab=32000),
    "yuan-2b-4-layers": YuanShape(
        hidden=2048, layers=4, ffn=8192, heads=32, kv_heads=32, vocab=1280
    ),
    "yuan-102b-1-layer": YuanShape(
        hidden=8192, layers=1, ffn=32768, heads=64, kv_heads=64, vocab=1280
    ),
    "bloom-7b1": bloom(hidden=4096, layers=30, heads=32),
    "bloom-176b": bloom(hidden=14336, layers=70, heads=112),
    "bloom-176b-1-layer": bloom(hidden=14336, layers=1, heads=112),
}


@dataclass(frozen=True)
class Shard:
    """One safetensors file: its tensors with their shapes, in file order."""

    name: str
    tensors: Mapping[str, tuple[int, ...]]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors."""
        return sum(ITEM_BYTES * math.prod(shape) for shape in self.tensors.values())


def build(
    shape: ModelShape,
    folder: Path,
    *,
    sparse: bool = False,
    seed: int = 0,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write a checkpoint of ``shape`` to ``folder``, which must not exist.

    Args:
        sparse: Leave the weights as holes: all zero, and next to no disk.
        seed: Of the random weights; the same seed gives the same bytes.
        shard_bytes: Bytes of tensors in a file, at most, unless one tensor is larger.
    """
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(shape.config(), indent=2) + "\n")
    _copy_tokenizer(shape.vocab, folder)
    all_shards = shards(shape.tensors(), shard_bytes)
    first = 0
    for shard in all_shards:
        with (folder / shard.name).open("wb") as file:
            file.write(_header(shard))
            if sparse:
                file.truncate(file.tell() + shard.nbytes)
            else:
                _write_weights(file, shard, seed, first)
        first += len(shard.tensors)
    if len(all_shards) > 1:
        _write_index(folder, all_shards)
    return folder


def shards(tensors: Mapping[str, tuple[int, ...]], limit: int) -> list[Shard]:
    """Split ``tensors``, in order, into files of at most ``limit`` bytes of weights."""
    groups: list[dict[str, tuple[int, ...]]] = []
    used = limit
    for name, shape in tensors.items():
        nbytes = ITEM_BYTES * math.prod(shape)
        if used + nbytes > limit:
            groups.append({})
            used = 0
        groups[-1][name] = shape
        used += nbytes
    if len(groups) == 1:
        return [Shard("model.safetensors", groups[0])]
    return [
        Shard(f"model-{number:05}-of-{len(groups):05}.safetensors", group)
        for number, group in enumerate(groups, start=1)
    ]


def _header(shard: Shard) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shard.tensors.items():
        end = offset + ITEM_BYTES * math.prod(shape)
        entries[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write_weights(file: BinaryIO, shard: Shard, seed: int, first: int) -> None:
    for number, (name, shape) in enumerate(shard.tensors.items(), start=first):
        if len(shape) == 1:
            neutral = np.zeros(1, np.float32) if name.endswith(".bias") else np.ones(1, np.float32)
            np.full(shape, _bfloat16(neutral)).tofile(file)
            continue
        for words in _blocks(math.prod(shape), (seed, number)):
            words.tofile(file)


def _blocks(count: int, key: tuple[int, int]) -> Iterator[NDArray[np.uint16]]:
    """The ``count`` random weights of one tensor; two blocks are drawn at a time."""
    sizes = [min(BLOCK, count - start) for start in range(0, count, BLOCK)]

    def draw(block: int) -> NDArray[np.uint16]:
        values = np.random.default_rng((*key, block)).standard_normal(sizes[block], np.float32)
        return _bfloat16(values * np.float32(DEVIATION))

    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(draw, range(len(sizes)))


def _bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves of finite float32, rounded half up, which is close enough for noise."""
    words: NDArray[np.uint32] = values.view(np.uint32) + np.uint32(0x8000)
    return (words >> 16).astype(np.uint16)


def _write_index(folder: Path, all_shards: list[Shard]) -> None:
    index = {
        "metadata": {"total_size": sum(shard.nbytes for shard in all_shards)},
        "weight_map": {name: shard.name for shard in all_shards for name in shard.tensors},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _copy_tokenizer(vocab: int, folder: Path) -> None:
    """SmolLM2's tokenizer where it fits, else the demo model's."""
    smollm2_vocab = 49152
    source = fetch_smollm2() if vocab >= smollm2_vocab else DEMO
    for path in (source / "tokenizer.json", source / "tokenizer_config.json"):
        shutil.copy(path, folder)


def main() -> None:
    """Build the checkpoint that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sparse", action="store_true", help="holes instead of random weights")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shape = SHAPES[options.shape]
    build(shape, options.folder, sparse=options.sparse, seed=options.seed)
    weights = sum(math.prod(size) for size in shape.tensors().values())
    sys.stdout.write(f"{options.folder}: {weights / 1e9:.2f} billion weights\n")


if __name__ == "__main__":
    main()
