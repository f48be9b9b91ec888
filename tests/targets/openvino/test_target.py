"""What the plugin and the LLM pipeline make of an artifact."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import openvino
import pytest

from convert.errors import UsageError
from targets.base import OutputFile
from targets.openvino.run import EXACT, OpenVinoRunner
from targets.openvino.target import OpenVinoTarget
from tests.support.models import random_ids, small_model
from tests.support.ort import relative_error
from tests.targets.openvino.artifacts import (
    FUSING,
    convert,
    encode_as,
    lay_out,
    tokenizer_checkpoint,
    write,
)
from tests.targets.openvino.layers import layer_types, product_count, weight_types

F32 = {"INFERENCE_PRECISION_HINT": "f32"}
SMOLLM2 = Path("models/smollm2")


def layers_are_fused(runner, layers, norms_per_layer=2):
    types = layer_types(runner.compiled)
    assert types["ScaledDotProductAttention"] == layers
    assert types["MemoryInput"] == types["MemoryOutput"] == 2 * layers
    assert types["RoPE"] == 2 * layers
    assert types["RMS"] == norms_per_layer * layers + 1
    assert product_count(runner.compiled) == 7 * layers + 1
    assert types["Softmax"] == types["MatMul"] == 0
    assert types["Broadcast"] <= 1, "only the empty cache may be broadcast, once for all"
    assert types["Concatenation"] <= 3, "angles and the cache's shape, once for all"


BLOOM = {"hidden_size": 256, "num_attention_heads": 4, "vocab_size": 300}


@pytest.mark.parametrize("overrides", [F32, {}], ids=["f32", "default"])
@pytest.mark.parametrize(
    ("name", "stored"),
    [
        *(("int8", "i8"), ("int8_asym", "u8"), ("int4", "u4")),
        *(("nf4", "nf4"), ("nf4_dq", "nf4"), ("bf16", None)),
    ],
)
def test_every_layer_fuses_and_stays_compressed(name, stored, overrides, tmp_path):
    model = small_model("llama", **FUSING)
    runner = OpenVinoRunner(
        convert(model, tmp_path, quantize=encode_as(name)), threads=2, overrides=overrides
    )
    layers_are_fused(runner, layers=2)
    if stored is not None:
        types = weight_types(runner.compiled)
        assert types[stored] == (15 if stored == "i8" else 14)
        assert types["f32"] == types["bf16"] == 0


@pytest.mark.parametrize(
    ("model_type", "norms", "sizes"),
    [("qwen2", 2, {}), ("qwen3", 4, {}), ("mistral", 2, {"sliding_window": 4})],
)
def test_every_family_fuses(model_type, norms, sizes, tmp_path):
    model = small_model(model_type, **FUSING, **sizes)
    runner = OpenVinoRunner(convert(model, tmp_path, quantize=encode_as("int8")), threads=2)
    layers_are_fused(runner, layers=2, norms_per_layer=norms)


@pytest.mark.parametrize(("name", "stored"), [("int8", {"i8": 9}), ("int4", {"u4": 8, "i8": 1})])
def test_bloom_fuses_and_stays_compressed(name, stored, tmp_path):
    model = small_model("bloom", **BLOOM)
    runner = OpenVinoRunner(convert(model, tmp_path, quantize=encode_as(name)), threads=2)
    types = layer_types(runner.compiled)
    assert types["ScaledDotProductAttention"] == 2
    assert types["MemoryInput"] == types["MemoryOutput"] == 4
    assert types["MVN"] == 6
    assert product_count(runner.compiled) == 4 * 2 + 1
    assert types["Softmax"] == types["MatMul"] == types["Gelu"] == 0
    assert types["Split"] == 2
    assert types["Broadcast"] <= 1, "only the empty cache may be broadcast, once for all"
    # Each norm scales and shifts, each layer adds twice; the mask is made once.
    assert types["Eltwise"] <= 6 + 4 + 7
    assert weight_types(runner.compiled) == stored


def test_bfloat16_weights_are_never_float16(tmp_path):
    folder = convert(small_model("llama"), tmp_path, quantize=encode_as("bf16"))
    model = openvino.Core().read_model(folder / "openvino_model.xml")
    types = Counter(
        node.get_output_element_type(0).to_string()
        for node in model.get_ops()
        if node.get_type_name() == "Constant"
    )
    assert types["bf16"] == 2 * 7, "seven matrices a layer"
    assert types["f16"] == types["i8"] == 2, "scales of the 8-bit embedding and head"


def test_a_tied_matrix_is_stored_once_and_stays_compressed(tmp_path):
    tied = small_model("llama", tie_word_embeddings=True, **FUSING)
    layout = lay_out(tied, quantize=encode_as("int8"))
    names = [job.weight.name for job in layout.jobs]
    assert names.count("model.embed_tokens.weight") == 1
    assert "lm_head.weight" not in names
    runner = OpenVinoRunner(convert(tied, tmp_path, quantize=encode_as("int8")), threads=2)
    assert weight_types(runner.compiled) == {"i8": 15}
    gathers = [
        node.input_value(0).get_element_type().to_string()
        for node in runner.compiled.get_runtime_model().get_ordered_ops()
        if node.get_rt_info()["layerType"].astype(str) == "Gather"
    ]
    assert "i8" in gathers


@pytest.mark.parametrize(
    ("model_type", "sizes"),
    [
        *(("llama", FUSING), ("mistral", {**FUSING, "sliding_window": 4}), ("qwen3", FUSING)),
        ("bloom", {**BLOOM, "num_attention_heads": 7, "hidden_size": 224}),
    ],
)
def test_the_llm_pipeline_generates_with_paged_attention(model_type, sizes, tmp_path):
    genai = pytest.importorskip("openvino_genai")
    model = small_model(model_type, **sizes)
    checkpoint = tokenizer_checkpoint(tmp_path / "checkpoint")
    folder = convert(model, tmp_path / "artifact", checkpoint=checkpoint, tokenizer=True)
    ids = random_ids(1, 9, model.config.vocab)[0].tolist()
    expected = OpenVinoRunner(folder, threads=2, overrides=EXACT).generate(ids, 10, frozenset())
    # A scheduler makes the pipeline throw, instead of falling back, if it cannot page.
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = 1
    pipeline = genai.LLMPipeline(str(folder), "CPU", scheduler_config=scheduler, **EXACT)
    wanted = genai.GenerationConfig()
    wanted.max_new_tokens, wanted.ignore_eos, wanted.apply_chat_template = 10, True, False
    found = pipeline.generate(openvino.Tensor(np.array([ids])), wanted)
    assert list(found.tokens[0]) == expected
    assert isinstance(pipeline.generate("the quick brown", wanted), str)


def test_the_llm_pipeline_generates_from_a_yuan_without_paging(tmp_path):
    genai = pytest.importorskip("openvino_genai")
    model = small_model("yuan", hidden_size=128, num_attention_heads=4, vocab_size=300)
    checkpoint = tokenizer_checkpoint(tmp_path / "checkpoint")
    layout = lay_out(model, checkpoint=checkpoint, tokenizer=True)
    assert any("without paged attention" in note for note in layout.notes)
    folder = write(layout, tmp_path / "artifact")
    ids = random_ids(1, 9, model.config.vocab)[0].tolist()
    expected = OpenVinoRunner(folder, threads=2, overrides=EXACT).generate(ids, 10, frozenset())
    wanted = genai.GenerationConfig()
    wanted.max_new_tokens, wanted.ignore_eos = 10, True
    pipeline = genai.LLMPipeline(str(folder), "CPU", **EXACT)
    found = pipeline.generate(openvino.Tensor(np.array([ids])), wanted)
    assert list(found.tokens[0]) == expected
    # Paging would drop the convolutions' state: that it is refused is what makes this safe.
    with pytest.raises(RuntimeError):
        genai.LLMPipeline(str(folder), "CPU", scheduler_config=genai.SchedulerConfig())


def test_a_graph_with_nothing_but_keys_and_values_has_no_note():
    assert lay_out(small_model("llama")).notes == ()


def test_paged_attention_knows_every_layer_and_its_window(tmp_path):
    from openvino._offline_transformations import paged_attention_transformation

    model = small_model("mistral", sliding_window=4, **FUSING)
    folder = convert(model, tmp_path)
    ir = openvino.Core().read_model(folder / "openvino_model.xml")
    paged_attention_transformation(ir)
    pages = [n for n in ir.get_ordered_ops() if n.get_type_name() == "PagedAttentionExtension"]
    assert len(pages) == 2
    for page in pages:
        # The window is computed from a constant of the mask: -1 * Convert(-4).
        factors = [value.get_node() for value in page.input_value(10).get_node().input_values()]
        while factors[0].get_type_name() == "Convert":
            factors[0] = factors[0].input_value(0).get_node()
        assert [int(factor.get_data()) for factor in factors] == [-4, -1]


def test_paged_attention_knows_the_slopes_of_every_layer(tmp_path):
    from openvino._offline_transformations import paged_attention_transformation

    folder = convert(small_model("bloom", **BLOOM), tmp_path)
    ir = openvino.Core().read_model(folder / "openvino_model.xml")
    paged_attention_transformation(ir)
    pages = [n for n in ir.get_ordered_ops() if n.get_type_name() == "PagedAttentionExtension"]
    assert len(pages) == 2
    for page in pages:
        slopes = page.input_value(11).get_node()
        assert slopes.get_output_shape(0) == [4]
        constant = slopes.input_value(0).get_node()
        assert constant.get_data().reshape(-1).tolist() == [2**-2, 2**-4, 2**-6, 2**-8]


def test_state_variables_have_the_names_that_devices_know(tmp_path):
    runner = OpenVinoRunner(convert(small_model("llama"), tmp_path), threads=2)
    request = runner.compiled.create_infer_request()
    assert {state.name for state in request.query_state()} == {
        f"past_key_values.{layer}.{part}present.{layer}.{part}"
        for layer in range(2)
        for part in ("key", "value")
    }


def test_the_artifact_carries_its_runtime_options(tmp_path):
    options = {"kv_cache_precision": "bf16", "dynamic_quantization_group_size": 64}
    runner = OpenVinoRunner(convert(small_model("llama"), tmp_path, options=options), threads=2)
    assert runner.compiled.get_property("KV_CACHE_PRECISION") == openvino.Type.bf16
    assert runner.compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 64


def test_activations_are_rounded_in_the_groups_of_the_weights(tmp_path):
    folder = convert(small_model("llama"), tmp_path, quantize=encode_as("int4_g16"))
    compiled = OpenVinoRunner(folder, threads=2).compiled
    assert compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 16


def test_shipped_options_stay_near_float32(tmp_path):
    model = small_model("llama", **FUSING)
    folder = convert(model, tmp_path, quantize=encode_as("int8"))
    ids = random_ids(1, 12, model.config.vocab)[0].tolist()
    shipped = OpenVinoRunner(folder, threads=2).logits(ids, 6)
    exact = OpenVinoRunner(folder, threads=2, overrides=EXACT).logits(ids, 6)
    assert relative_error(shipped, exact) < 0.5


def test_an_unknown_option_is_refused_before_anything():
    with pytest.raises(UsageError, match="kv_precision"):
        OpenVinoTarget().passes({"kv_precision": "u8"})


def test_layout_reads_no_weight(monkeypatch):
    model = small_model("llama")

    def forbidden(self, start, stop):
        raise AssertionError(f"{self.name} was read")

    monkeypatch.setattr("convert.weights.ArrayWeight.read_rows", forbidden)
    layout = lay_out(model, quantize=encode_as("int4_g16"))
    assert len(layout.jobs) == len(model.weights)


def test_files_without_a_tokenizer(tmp_path):
    paths = {file.path for file in lay_out(small_model("llama")).files}
    assert paths == {
        "openvino_model.xml",
        "openvino_model.bin",
        "config.json",
        "generation_config.json",
    }


LAY_OUT = "from tests.targets.openvino.test_target import laid_out; print(laid_out())"


def laid_out():
    """Digests of all that is laid out for a model with a tokenizer, as text."""
    model = small_model("llama", **FUSING)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = tokenizer_checkpoint(Path(folder))
        layout = lay_out(model, quantize=encode_as("int4"), checkpoint=checkpoint, tokenizer=True)
    return sorted(
        (file.path, file.size, hashlib.sha256(repr(file.segments).encode()).hexdigest())
        for file in layout.files
    )


def test_two_runs_lay_out_the_same_bytes(tmp_path):
    checkpoint = tokenizer_checkpoint(tmp_path)
    model = small_model("llama", **FUSING)

    def files() -> tuple[OutputFile, ...]:
        how = {"quantize": encode_as("int4"), "checkpoint": checkpoint, "tokenizer": True}
        return lay_out(model, **how).files

    assert files() == files()


def test_a_fresh_process_lays_out_the_same_bytes(tmp_path, monkeypatch):
    """Another order of sets, another place of the checkpoint, and nothing kept from before."""
    another = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    fresh = subprocess.run(
        [sys.executable, "-c", LAY_OUT],
        env={
            "PYTHONHASHSEED": another,
            "PYTHONPATH": ".",
            "PATH": "",
            "XDG_CACHE_HOME": str(tmp_path / "theirs"),
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()  # training the tokenizer prints empty lines
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "ours"))
    assert fresh == str(laid_out())
    assert "openvino_detokenizer.bin" in fresh


@pytest.mark.slow
@pytest.mark.skipif(not SMOLLM2.is_dir(), reason="make models fetches SmolLM2")
@pytest.mark.parametrize(
    ("name", "stored"), [("int8", {"i8": 211}), ("int4", {"u4": 210, "i8": 1})]
)
def test_smollm2_fuses(name, stored, tmp_path):
    from convert.architectures import architecture_of
    from convert.checkpoint import open_checkpoint
    from tests.support.models import SmallModel

    checkpoint = open_checkpoint(str(SMOLLM2))
    assert architecture_of(checkpoint.config)
    model = SmallModel(None, dict(checkpoint.config), dict(checkpoint.weights))
    runner = OpenVinoRunner(convert(model, tmp_path, quantize=encode_as(name)), threads=2)
    layers_are_fused(runner, layers=30)
    assert weight_types(runner.compiled) == stored
