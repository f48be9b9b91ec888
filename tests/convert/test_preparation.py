"""What can be known of an artifact before a weight is read, and what is refused by then."""

from __future__ import annotations

import dataclasses

import pytest

from convert.checkpoint import open_checkpoint
from convert.errors import (
    PassRefusedError,
    UnsupportedEncodingError,
    UnsupportedError,
    UsageError,
)
from convert.preparation import open_source, prepare, resolve_encoding
from convert.recipe import Artifact
from passes.quantize import coverage
from tests.support.runs import TINY_LLAMA


@pytest.fixture(scope="module")
def checkpoint():
    return open_checkpoint(str(TINY_LLAMA))


def prepared(checkpoint, **description):
    artifact = resolve_encoding(Artifact(**description))
    return prepare(checkpoint, open_source(checkpoint), artifact, tokenizer=True, strict=False)


def test_the_target_knows_a_default_encoding():
    assert resolve_encoding(Artifact(format="gaudi")).encoding == "bf16"


def test_any_group_size_of_a_family_counts_as_stored():
    assert resolve_encoding(Artifact(format="onnx", encoding="int4_g48")).encoding == "int4_g48"


@pytest.mark.parametrize("name", ["q4_0", "nonsense"])
def test_an_encoding_that_the_target_does_not_store_is_refused(name):
    with pytest.raises(UnsupportedEncodingError):
        resolve_encoding(Artifact(format="openvino", encoding=name))


def test_an_unknown_target_is_refused():
    with pytest.raises(UsageError, match="no target 'tpu'"):
        resolve_encoding(Artifact(format="tpu", encoding="bf16"))


def test_a_family_that_the_target_cannot_express_is_refused(checkpoint):
    source = open_source(checkpoint)
    other = dataclasses.replace(source, config=dataclasses.replace(source.config, family="bird"))
    with pytest.raises(UnsupportedError, match="cannot express bird"):
        prepare(checkpoint, other, Artifact(format="onnx"), tokenizer=True, strict=False)


def test_yuan_cannot_be_a_gguf_and_the_reason_is_told(checkpoint):
    source = open_source(checkpoint)
    yuan = dataclasses.replace(source, config=dataclasses.replace(source.config, family="yuan"))
    with pytest.raises(UnsupportedError, match=r"llama\.cpp has no graph for Yuan"):
        prepare(checkpoint, yuan, Artifact(format="gguf"), tokenizer=True, strict=False)


def test_embeddings_and_head_keep_eight_bits_unless_asked(checkpoint):
    spared = prepared(checkpoint, format="onnx", encoding="int4_g32")
    encodings = {tensor.role: tensor.encoding for tensor in coverage(spared.model)}
    assert (encodings["embedding"], encodings["linear"]) == ("int8_asym", "int4_g32")
    asked = prepared(checkpoint, format="onnx", encoding="int4_g32", embeddings="int4_g32")
    assert {tensor.role: tensor.encoding for tensor in coverage(asked.model)}[
        "embedding"
    ] == "int4_g32"


def test_only_encodings_under_eight_bits_hide_mistakes(checkpoint):
    assert prepared(checkpoint, format="onnx", encoding="int4_g32").loses_precision
    assert not prepared(checkpoint, format="onnx", encoding="int8").loses_precision


def test_a_rank_has_its_own_files_and_its_part_of_the_heads(checkpoint):
    made = prepared(checkpoint, format="openvino", encoding="nf4", tensor_parallel=2)
    assert made.artifact.folder == "openvino-nf4-tp2"
    paths = {file.path for file in made.layout.files}
    assert {"rank-0/openvino_model.bin", "rank-1/openvino_model.xml", "launch.sh"} <= paths
    assert all(
        tensor.encoding == "nf4" for tensor in coverage(made.model) if tensor.role == "linear"
    )


def test_what_fits_the_whole_but_no_rank_is_reported_as_it_is_stored(checkpoint):
    """Four heads of 32 columns: a rank's column of o_proj is half a group."""
    made = prepared(checkpoint, format="openvino", encoding="nf4", tensor_parallel=4)
    stored = {tensor.name: tensor for tensor in coverage(made.model)}
    found = stored["model.layers.0.self_attn.o_proj.weight"]
    assert found.encoding == "nf4_g32"
    assert found.fallback == "nf4 does not fit a rank's part, 128 by 32"
    assert stored["model.layers.0.mlp.down_proj.weight"].encoding == "nf4"


def test_the_group_of_the_encoding_is_not_cut(checkpoint):
    """384 columns in groups of 128 are three, so two ranks have one and two."""
    made = prepared(checkpoint, format="openvino", encoding="int4", tensor_parallel=2)
    shapes = [
        job.weight.shape
        for job in made.layout.jobs
        if job.weight.name.endswith("0.mlp.down_proj.weight")
    ]
    assert shapes == [(128, 128), (128, 256)]


@pytest.mark.parametrize("name", ["gguf", "onnx"])
def test_a_target_without_ranks_says_so(checkpoint, name):
    with pytest.raises(UnsupportedError, match=f"target {name} has no form for tensor parallelism"):
        prepared(checkpoint, format=name, tensor_parallel=2)


def test_more_ranks_than_heads(checkpoint):
    with pytest.raises(PassRefusedError, match="cannot go to 5 ranks"):
        prepared(checkpoint, format="openvino", tensor_parallel=5)
