"""Sound cases to begin from, small, and made by the writers whose readers are on trial."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from convert.architectures import architecture_of
from convert.sources.safetensors_writer import Entry, header_bytes
from convert.weights import FloatType
from tests.fuzz.cases import Case, read

_TINY = {
    "vocab_size": 12, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
}  # fmt: skip
_EXPERTS = {
    "num_experts": 2, "num_local_experts": 2, "num_experts_per_tok": 1,
    "moe_intermediate_size": 8, "norm_topk_prob": True, "head_dim": 4,
}  # fmt: skip
_YARN = {
    "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 32.0,
    "mscale": 1.0, "mscale_all_dim": 0.5,
}  # fmt: skip
_LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", **_TINY,
        "tie_word_embeddings": False, "rope_scaling": _LLAMA3,
    },
    "qwen2": {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", **_TINY,
        "tie_word_embeddings": True, "rope_scaling": _YARN, "sliding_window": 32,
        "use_sliding_window": True, "max_window_layers": 0,
    },
    "qwen3_moe": {
        "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", **_TINY, **_EXPERTS,
        "tie_word_embeddings": False, "mlp_only_layers": [], "decoder_sparse_step": 1,
    },
    "bloom": {
        "architectures": ["BloomForCausalLM"], "model_type": "bloom", "vocab_size": 12,
        "hidden_size": 8, "n_layer": 1, "n_head": 2, "layer_norm_epsilon": 1e-5,
        "seq_length": 64,
    },
    "mistral": {
        "architectures": ["MistralForCausalLM"], "model_type": "mistral", **_TINY,
        "sliding_window": 16, "tie_word_embeddings": False,
    },
}  # fmt: skip


def _shapes(family: str) -> dict[str, tuple[int, ...]]:
    architecture = architecture_of(CONFIGS[family])
    return architecture.parameters(architecture.parse(CONFIGS[family]))


def _safetensors(shapes: dict[str, tuple[int, ...]], dtype: FloatType) -> bytes:
    entries = [Entry(name, shape, dtype) for name, shape in shapes.items()]
    return header_bytes(entries) + bytes(sum(entry.nbytes for entry in entries))


def _folder(family: str, dtype: FloatType = FloatType.BF16) -> Case:
    return {
        "config.json": json.dumps(CONFIGS[family]).encode(),
        "model.safetensors": _safetensors(_shapes(family), dtype),
    }


def _sharded() -> Case:
    shapes = _shapes("llama")
    names = list(shapes)
    files = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    case = _folder("llama")
    del case["model.safetensors"]
    for file, own in files.items():
        case[file] = _safetensors({name: shapes[name] for name in own}, FloatType.F16)
    places = {name: file for file, own in files.items() for name in own}
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    return case | {"model.safetensors.index.json": json.dumps(index).encode()}


def _joined_experts() -> Case:
    shapes = {
        name: shape for name, shape in _shapes("qwen3_moe").items() if ".experts." not in name
    }
    scope = "model.layers.0.mlp.experts."
    shapes |= {f"{scope}gate_up_proj": (2, 16, 8), f"{scope}down_proj": (2, 8, 8)}
    return _folder("qwen3_moe") | {"model.safetensors": _safetensors(shapes, FloatType.F32)}


def _pickled() -> Case:
    import torch

    state = {name: torch.zeros(shape) for name, shape in _shapes("llama").items()}
    state["model.layers.0.self_attn.o_proj.weight"] = torch.zeros(8, 8).t()
    state["model.norm.weight"] = torch.zeros(1).expand(8)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return {"config.json": _folder("llama")["config.json"], "pytorch_model.bin": buffer.getvalue()}


def _adapted() -> Case:
    settings = {
        "peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "use_rslora": True,
        "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"^x": 1}, "modules_to_save": ["norm"],
        "init_lora_weights": True,
    }  # fmt: skip
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    shapes = {
        f"{module}.lora_A.weight": (2, 8),
        f"{module}.lora_B.weight": (8, 2),
        "base_model.model.model.norm.weight": (8,),
    }
    return _folder("llama", FloatType.F32) | {
        "adapter/adapter_config.json": json.dumps(settings).encode(),
        "adapter/adapter_model.safetensors": _safetensors(shapes, FloatType.F32),
    }


def checkpoints() -> list[Case]:
    """Of several families and in every form."""
    return [*map(_folder, CONFIGS), _sharded(), _joined_experts(), _adapted()]


def pickles() -> list[Case]:
    """Weights as PyTorch saves them."""
    return [_pickled()]


_RECIPES = (
    """name: edge
description: two artifacts
model: models/own
prompts: prompts.txt
calibrate: text.txt
calibration_tokens: 64
hardware: [this, box.yaml]
artifacts:
  - {format: gguf, encoding: q4_0, embeddings: q8_0, head: q6_k}
  - format: openvino
    encoding: int8
    name: small
    smooth_quant: 0.5
    gate: {mean_kld: 0.1, top1: 0.9, weight_error: 0.2, differing_texts: 0}
    overrides: [{pattern: "*.down_proj.*", encoding: f16}]
    options: {}
  - {format: onnx, target_bits: 4.5, candidates: [int4_g32, int8], passes: []}
""",
    """name: mix
lora: [a, b]
imatrix: im.gguf
artifacts:
  - format: gguf
    max_kld: 0.01
    options: {a: &a [1, 2], b: *a}
  - {format: gguf, encoding: q4_k_m, tensor_parallel: 2}
  - {format: openvino, method: gptq, gate: {decoded_kld: .5}}
""",
    """name: anchors
x: &l0 {a: 1}
artifacts: [{format: gguf, options: {a: {<<: [*l0, *l0]}, b: [*l0]}}]
""",
)


def recipes() -> list[Case]:
    """Recipes, and a hardware profile as it is shipped."""
    from importlib import resources

    profiles = resources.files("convert") / "hardware" / "profiles"
    profile = min(profiles.iterdir(), key=lambda each: each.name).read_bytes()
    return [{"recipe.yaml": text.encode(), "box.yaml": profile} for text in _RECIPES]


def artifacts() -> list[Case]:
    """Finished artifacts with everything that is beside a manifest."""
    from tests.support.finished import finished_artifact

    with tempfile.TemporaryDirectory() as folder:
        whole = read(finished_artifact(Path(folder) / "artifact"))
    return [whole | {"model.sig": _bundle()}]


def _bundle() -> bytes:
    """A signature in the form of Sigstore, whoever's."""
    import base64

    resources = [
        {"name": name, "algorithm": "sha256", "digest": "00" * 32}
        for name in ("manifest.json", "a")
    ]
    payload = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "artifact", "digest": {"sha256": "00" * 32}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {"resources": resources, "serialization": {"method": "files"}},
    }
    envelope = {
        "payload": base64.b64encode(json.dumps(payload).encode()).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": "MEUCIQ==", "keyid": ""}],
    }
    material = {"publicKey": {"hint": "x"}, "tlogEntries": []}
    media = "application/vnd.dev.sigstore.bundle.v0.3+json"
    return json.dumps(
        {"mediaType": media, "verificationMaterial": material, "dsseEnvelope": envelope}
    ).encode()


def ggufs() -> list[Case]:
    """Models with either kind of tokenizer, one in shards, and an imatrix."""
    from tests.support.gguf_files import TinyGguf

    small: dict[str, Any] = {"layers": 1, "hidden": 32, "heads": 2, "kv_heads": 1, "ffn": 32}
    made = (
        lambda path: TinyGguf(**small).write(path),
        lambda path: TinyGguf(**small, **_pieces(), tied=False).write(path),
        lambda path: TinyGguf(**small, family="qwen2", qkv_bias=True, pre="qwen2").write(path),
        lambda path: TinyGguf(**small, extra=_ROPE).write(path),
        lambda path: TinyGguf(**small, **_pieces()).write(path, split_max_size=4000),
    )
    return [*map(_made, made), {"imatrix.gguf": _imatrix()}]


_ROPE = {"rope_freqs.weight": np.ones(8, np.float32)}


def _pieces() -> dict[str, Any]:
    """A vocabulary as SentencePiece has it."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += ["\u2581", "a", "b", "ab", "\u2581a", "\u2581ab"]
    types = [2, 3, 3, *([6] * 256), *([1] * 6)]
    scores = [0.0] * 259 + [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]
    more = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.scores": scores}
    return {"tokens": tokens, "types": types, "merges": [], "pre": None, "metadata": more}


def _made(make: Callable[[Path], object]) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "model.gguf")
        return read(Path(folder))


def _imatrix() -> bytes:
    from targets.gguf.imatrix import write_imatrix

    raw = CONFIGS["qwen3_moe"]
    config = architecture_of(raw).parse(raw)
    widths = {
        name: shape[-1]
        for name, shape in _shapes("qwen3_moe").items()
        if len(shape) == 2 and "proj" in name
    }
    sums = {name: np.ones(width) for name, width in widths.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "imatrix.gguf"
        write_imatrix(path, sums, dict.fromkeys(sums, 7), config, dataset="text", chunk=4)
        return path.read_bytes()


@cache
def seeds(target: str) -> tuple[Case, ...]:
    """The cases to begin from, by the target's name."""
    makers = {
        "checkpoint": checkpoints,
        "pickle": pickles,
        "recipe": recipes,
        "manifest": artifacts,
        "gguf": ggufs,
    }
    return tuple(makers[target]())
