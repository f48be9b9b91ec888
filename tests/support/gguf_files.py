"""Writes tiny GGUF models with the gguf package, for tests that read them."""

# ruff: noqa: RUF001
from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray

TEXT = (
    "The capital of France is Paris. It's 1984, we'll see 3.14159; don't they've I'm you're he'd. "
    "def f(x):\n    return x ** 2\n\nНет, это не так. 你好，世界！ été où ça  два  слова\n"
) * 4
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

HF_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass
class TinyGguf:
    """A model of one or two layers; change what a test is about, then write it."""

    family: str = "llama"
    layers: int = 2
    hidden: int = 64
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    ffn: int = 96
    tied: bool = True
    qk_norm: bool = False
    qkv_bias: bool = False
    kinds: dict[str, Kind] = field(default_factory=dict)
    """Type of each matrix by its short name (``attn_q``); Q8_0 otherwise."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """More metadata: int, float, str, bool or list."""
    extra: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """More tensors, float32, or other values for those that are there."""
    tokens: list[str] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    merges: list[str] = field(default_factory=list)
    pre: str | None = "smollm"

    def __post_init__(self) -> None:
        if not self.tokens:
            self.tokens, self.merges = byte_level_vocabulary()
            self.types = [3] * len(SPECIAL) + [1] * (len(self.tokens) - len(SPECIAL))

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Checkpoint-order weights by GGUF name, before quantization and row order."""
        random = np.random.default_rng(0)
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        shapes = {
            "attn_norm.weight": (self.hidden,),
            "attn_q.weight": (q, self.hidden),
            "attn_k.weight": (kv, self.hidden),
            "attn_v.weight": (kv, self.hidden),
            "attn_output.weight": (self.hidden, q),
            "ffn_norm.weight": (self.hidden,),
            "ffn_gate.weight": (self.ffn, self.hidden),
            "ffn_up.weight": (self.ffn, self.hidden),
            "ffn_down.weight": (self.hidden, self.ffn),
        }
        if self.qk_norm:
            shapes |= {
                "attn_q_norm.weight": (self.head_dim,),
                "attn_k_norm.weight": (self.head_dim,),
            }
        if self.qkv_bias:
            shapes |= {"attn_q.bias": (q,), "attn_k.bias": (kv,), "attn_v.bias": (kv,)}
        names = {f"blk.{n}.{name}": s for n in range(self.layers) for name, s in shapes.items()}
        names["token_embd.weight"] = (len(self.tokens), self.hidden)
        names["output_norm.weight"] = (self.hidden,)
        if not self.tied:
            names["output.weight"] = (len(self.tokens), self.hidden)
        values = {name: random.normal(0, 0.05, s).astype(np.float32) for name, s in names.items()}
        return values | self.extra

    def stored(self) -> dict[str, tuple[NDArray[Any], Kind]]:
        """What is written: quantized, llama-type Q and K in interleaved row order."""
        result = {}
        for name, values in self.weights().items():
            part = name.split(".")[-2]
            rows = self._ordered(part, values)
            kind = self.kinds.get(part, Kind.Q8_0) if values.ndim > 1 else Kind.F32
            result[name] = (gguf.quants.quantize(rows, kind), kind)
        return result

    def expected(self) -> dict[str, NDArray[np.float32]]:
        """What an import should yield, by checkpoint name, as float32."""
        result = {}
        for name, values in self.weights().items():
            part = name.split(".")[-2]
            kind = self.kinds.get(part, Kind.Q8_0) if values.ndim > 1 else Kind.F32
            decoded = gguf.quants.dequantize(gguf.quants.quantize(values, kind), kind)
            result[hf_name(name)] = decoded.reshape(values.shape)
        return result

    def write(self, path: Path, split_max_size: int = 0) -> Path:
        """Write the file, or shards of at most so many bytes; the path of the first."""
        writer = gguf.GGUFWriter(path, self.family, split_max_size=split_max_size)
        writer.add_block_count(self.layers)
        writer.add_context_length(128)
        writer.add_embedding_length(self.hidden)
        writer.add_feed_forward_length(self.ffn)
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.kv_heads)
        writer.add_key_length(self.head_dim)
        writer.add_value_length(self.head_dim)
        writer.add_layer_norm_rms_eps(1e-6)
        writer.add_rope_freq_base(50000.0)
        self._add_tokenizer(writer)
        for key, value in self.metadata.items():
            _add(writer, key, value)
        for name, (values, kind) in self.stored().items():
            writer.add_tensor(name, values, raw_dtype=kind)
        first = writer.format_shard_names(path)[0]
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return first

    def _add_tokenizer(self, writer: gguf.GGUFWriter) -> None:
        defaults = {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2,
        }
        for key, value in defaults.items():
            if key not in self.metadata:
                _add(writer, key, value)
        if self.pre is not None:
            writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        if self.merges:
            writer.add_token_merges(self.merges)

    def _ordered(self, part: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        heads = {"attn_q": self.heads, "attn_k": self.kv_heads}.get(part)
        if self.family != "llama" or heads is None:
            return values
        # Row 2i + h of a head is row h * D / 2 + i of the checkpoint, one by one.
        rows = np.empty_like(values)
        for head in range(heads):
            first = head * self.head_dim
            for row in range(self.head_dim):
                pair, half = divmod(row, 2)
                rows[first + row] = values[first + half * (self.head_dim // 2) + pair]
        return rows


def hf_name(name: str) -> str:
    """The checkpoint's name of a GGUF tensor."""
    *where, part, kind = name.split(".")
    layer = f"model.layers.{where[1]}." if where else ""
    return f"{layer}{HF_NAMES[part]}.{kind}"


def byte_level_vocabulary(size: int = 420) -> tuple[list[str], list[str]]:
    """Tokens, the special ones first, and merges of a BPE trained on `TEXT`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return tokens, [" ".join(merge) for merge in model["merges"]]


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
