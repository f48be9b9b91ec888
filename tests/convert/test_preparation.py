"""What can be known of an artifact before a weight is read, and what is refused by then."""

from __future__ import annotations

import dataclasses

import pytest

from convert.checkpoint import open_checkpoint
from convert.errors import UnsupportedEncodingError, UnsupportedError, UsageError
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
