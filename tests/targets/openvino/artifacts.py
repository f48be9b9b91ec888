"""Makes OpenVINO artifacts of small models, written job by job without the stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from passes.encodings import encoding
from passes.quantize import Policy, Quantize
from targets.base import Layout, LayoutRequest, Source
from targets.openvino.target import OpenVinoTarget
from tests.support.models import SmallModel

Rewrite = Callable[[ir.Model], object]


def lay_out(
    model: SmallModel,
    *,
    checkpoint: Path = Path("no-such-folder"),
    tokenizer: bool = False,
    options: Mapping[str, Any] | None = None,
    quantize: Rewrite | None = None,
) -> Layout:
    """The layout of ``model`` after the target's passes and ``quantize``."""
    target, graph, settings = OpenVinoTarget(), model.graph(), dict(options or {})
    for rewrite in target.passes(settings):
        rewrite(graph)
    if quantize is not None:
        quantize(graph)
    source = Source("small", checkpoint, model.raw_config, model.config)
    return target.lay_out(LayoutRequest(source, graph, tokenizer, settings))


def write(layout: Layout, folder: Path) -> Path:
    """Write every file of ``layout`` below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {file.path: bytearray(file.size) for file in layout.files}
    for file in layout.files:
        for offset, data in file.segments:
            contents[file.path][offset : offset + len(data)] = data
    for job in layout.jobs:
        rows = job.weight.read_rows(0, job.weight.rows)
        if job.row_order is not None:
            rows = rows[job.row_order]
        planes = job.encoding.encode(rows)
        for placement, plane in zip(job.placements, planes, strict=True):
            data = np.ascontiguousarray(plane).tobytes()
            contents[placement.file][placement.offset : placement.offset + len(data)] = data
    for path, content in contents.items():
        (folder / path).write_bytes(content)
    return folder


def convert(model: SmallModel, folder: Path, **how: Any) -> Path:
    """`lay_out`, then `write`."""
    return write(lay_out(model, **how), folder)


def encode_as(name: str, rest: str = "int8") -> Quantize:
    """Linear layers as ``name``, embeddings and head as ``rest``, vectors as f32."""
    allowed = (name, rest, encoding(name).family, "f32", "bf16")
    return Quantize(Policy(name, rest, rest, (), allowed))


def tokenizer_checkpoint(folder: Path) -> Path:
    """A byte-level BPE tokenizer with a chat template, as transformers saves it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    inner.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=byte_level.alphabet()
    )
    inner.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 9, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=special[1], eos_token=special[2], pad_token=special[2]
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

FUSING: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 300,
}
"""Sizes at which the plugin fuses as it does on real models."""
