"""The encodings of tensors are those that llama.cpp's own quantizer chooses."""

from __future__ import annotations

import ctypes
import io
import re
from pathlib import Path
from typing import Any

import gguf
import pytest

from convert.checkpoint import open_checkpoint
from convert.errors import UnsupportedEncodingError
from convert.manifest import read_manifest
from convert.preparation import open_source, stored_graph
from convert.recipe import Artifact, Override
from convert.sources.gguf_file import read_gguf
from passes.quantize import coverage
from targets.base import Assignment
from targets.gguf.families import family_of
from targets.gguf.file_names import FILE
from targets.gguf.file_types import FALLBACKS, MIXES, number_of
from targets.gguf.mixes import Facts, assign, assignment, stored_names
from tests.support.models import SmallModel, small_model
from tests.support.runs import TINY_LLAMA, convert_tiny
from tests.targets.gguf.checkpoints import checkpoint, convert

WIDE = {"hidden_size": 256, "intermediate_size": 512}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "grouped": (
        "llama",
        {**WIDE, "num_hidden_layers": 17, "num_attention_heads": 8, "num_key_value_heads": 2},
    ),
    "tied-and-narrow": (
        "qwen2",
        {
            **{"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 9},
            "tie_word_embeddings": True,
        },
    ),
    "tied": (
        "qwen2",
        {
            **{**WIDE, "num_hidden_layers": 8, "tie_word_embeddings": True},
            **{"num_attention_heads": 8, "num_key_value_heads": 4},
        },
    ),
    "odd-rows": ("llama", {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2}),
    "bloom": ("bloom", {"num_hidden_layers": 9, "hidden_size": 256, "num_attention_heads": 8}),
    "70b": (
        "llama",
        {
            **{"hidden_size": 256, "intermediate_size": 32, "num_hidden_layers": 80},
            **{"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 8},
        },
    ),
}


@pytest.fixture(scope="module", params=MODELS)
def written(request: Any, tmp_path_factory: Any) -> tuple[SmallModel, Path]:
    """A model, and the GGUF of its floats."""
    folder = tmp_path_factory.mktemp(request.param)
    model_type, overrides = MODELS[request.param]
    model = checkpoint(folder / "in", model_type, **overrides)
    convert(model, folder / "in", folder, "bf16")
    return model, folder / FILE


@pytest.mark.usefixtures("proven_once")
def test_every_tensor_has_the_type_that_llama_quantize_gives_it(
    written: tuple[SmallModel, Path],
) -> None:
    model, path = written
    family = family_of(model.config)
    names = stored_names(model.weights, family, model.config.layers)
    columns = {name: model.weights[name].shape[-1] for name in names}
    for file_type in MIXES:
        for imatrix in (False, True):
            theirs = quantizers_choice(path, number_of(file_type, ""), imatrix=imatrix)
            made = assign(file_type, model.config, model.weights, imatrix=imatrix)
            ours = {
                stored: fitting(asked(made, name, stored), columns[name])
                for name, stored in names.items()
                if stored in theirs
            }
            assert ours == theirs, (file_type, imatrix)
            assert len(theirs) > 4 * model.config.layers - 1


def test_a_mixture_of_eight_experts_spares_its_attention() -> None:
    parts = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_down_exps", "ffn_up_exps")
    names = {part: f"blk.0.{part}.weight" for part in parts}
    facts = Facts(layers=8, queries_per_key=4, experts=8)
    found = assignment("q4_k_m", names, facts, tied=False)
    assert dict(found.layers) == {
        "attn_k": "q8_0",
        "attn_v": "q8_0",
        "attn_output": "q5_k",
        "ffn_down_exps": "q6_k",
    }
    assert dict(assignment("q4_0", names, facts, tied=False).layers) == {
        "attn_k": "q8_0",
        "attn_v": "q8_0",
    }
    assert assignment("mxfp4_moe", names, facts, tied=False) == Assignment(
        "q8_0", "q8_0", "q8_0", {"ffn_down_exps": "mxfp4", "ffn_up_exps": "mxfp4"}
    )


def test_experts_share_the_name_of_their_stack() -> None:
    family = family_of(checkpoint_config())
    name = "model.layers.1.block_sparse_moe.experts.3.w2.weight"
    assert stored_names([name], family, 2) == {name: "blk.1.ffn_down_exps.weight"}


def checkpoint_config() -> Any:
    """A small configuration of the Llama family."""
    return small_model("llama").config


def asked(made: Assignment, name: str, stored: str) -> str:
    """What an assignment gives a matrix."""
    if stored == "token_embd.weight":
        return made.embeddings
    return made.head if stored == "output.weight" else made.layers.get(name, made.default)


def fitting(encoding: str, columns: int) -> str:
    """The encoding, or what takes its place."""
    while columns % gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[encoding.upper()]][0]:
        encoding = FALLBACKS.get(encoding, "f16")
    return encoding


def quantizers_choice(path: Path, file_type: int, *, imatrix: bool) -> dict[str, str]:
    """Types of the tensors that llama.cpp's quantizer would quantize, as its log tells."""
    import llama_cpp

    from targets.gguf.native import llama_cpp as silenced

    log: list[bytes] = []
    callback = llama_cpp.llama_log_callback(lambda level, text, data: log.append(text))
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.dry_run = file_type, True
    entries = (llama_cpp.llama_model_imatrix_data * 2)()
    entries[0].name, entries[0].size = b"no such tensor", 1
    entries[0].data = (ctypes.c_float * 1)(1.0)
    if imatrix:
        parameters.imatrix = entries
    code = llama_cpp.llama_model_quantize(str(path).encode(), b"unused", ctypes.byref(parameters))
    silenced()
    assert code == 0
    text = re.sub(r"\nwarning: [^\n]*", "", b"".join(log).decode(errors="replace"))
    found = re.findall(r"\] +(\S+) +- \[[^]]*\], type =[^\n]*\((\w+)\)\n", text)
    return {name: kind.lower() for name, kind in found}


def test_every_fallback_is_listed_and_strict_refuses_them(tmp_path: Path) -> None:
    said = io.StringIO()
    (folder,) = convert_tiny(tmp_path, "gguf:q4_k_m", gate=False, calibrate="none", said=said)
    records = {record.name: record for record in read_manifest(folder).tensors}
    down = records["model.layers.4.mlp.down_proj.weight"]
    assert (down.encoding, down.fallback) == ("q8_0", "q6_k does not fit rows of 384 weights")
    query = records["model.layers.0.self_attn.q_proj.weight"]
    assert (query.encoding, query.fallback) == ("q5_0", "q4_k does not fit rows of 128 weights")
    assert "down_proj.weight: q8_0, because q6_k does not fit rows of 384" in said.getvalue()
    assert read_gguf(folder / FILE).metadata["general.file_type"] == 15
    with pytest.raises(UnsupportedEncodingError, match="do not fit"):
        convert_tiny(tmp_path / "strict", "gguf:q4_k_m", gate=False, strict=True)


def test_a_recipe_departs_from_the_rules(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(str(TINY_LLAMA))
    artifact = Artifact(
        format="gguf",
        encoding="q5_0",
        embeddings="q4_0",
        overrides=(Override(pattern="*.4.mlp.down_proj.weight", encoding="q8_0"),),
    )
    config = open_source(checkpoint).config
    graph = stored_graph(checkpoint.config, config, checkpoint.weights, artifact, strict=True)
    stored = {each.name: each.encoding for each in coverage(graph)}
    assert stored["model.embed_tokens.weight"] == "q4_0"
    assert stored["model.layers.4.mlp.down_proj.weight"] == "q8_0"
    assert stored["model.layers.3.mlp.down_proj.weight"] == "q5_0"
