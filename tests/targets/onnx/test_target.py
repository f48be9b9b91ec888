import json

import onnx
import pytest

from convert.architectures import architecture_of
from convert.errors import UnsupportedTokenizerError, UsageError
from convert.weights import FloatType, Weight
from targets.base import LayoutRequest, Source
from targets.onnx.target import OnnxTarget
from tests.support.artifact import lay_out, write_artifact
from tests.support.models import small_model
from tests.support.tokenizer import save_tokenizer


@pytest.fixture(scope="module")
def small():
    return small_model("llama", tie_word_embeddings=True)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = save_tokenizer(tmp_path_factory.mktemp("checkpoint"))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 2}))
    return folder


def write(small, checkpoint, folder, encoding):
    return write_artifact(
        OnnxTarget(), small, folder, encoding, checkpoint=checkpoint, tokenizer=True
    )


@pytest.mark.parametrize("encoding", OnnxTarget.encodings)
def test_the_model_is_valid_and_has_the_sizes_that_were_promised(
    small, checkpoint, tmp_path, encoding
):
    artifact = write(small, checkpoint, tmp_path / "artifact", encoding)
    onnx.checker.check_model(str(artifact / "model.onnx"), full_check=True)
    layout = lay_out(OnnxTarget(), small, checkpoint, encoding, tokenizer=True)
    sizes = {file.path: file.size for file in layout.files}
    assert sizes == {path.name: path.stat().st_size for path in artifact.iterdir()}
    assert set(sizes) == {
        "model.onnx",
        "model.onnx.data",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_inputs_and_outputs_are_named_as_optimum_names_them(small, checkpoint, tmp_path):
    graph = onnx.load(write(small, checkpoint, tmp_path / "artifact", "f32") / "model.onnx").graph
    cache = [f"{layer}.{part}" for layer in range(2) for part in ("key", "value")]
    assert {value.name for value in graph.input} == {
        "input_ids",
        "attention_mask",
        "position_ids",
        *(f"past_key_values.{name}" for name in cache),
    }
    names = [value.name for value in graph.output]
    assert names == ["logits", *(f"present.{name}" for name in cache)]


@pytest.mark.parametrize("encoding", ["f32", "int4_g32"])
def test_two_runs_give_the_same_bytes(small, checkpoint, tmp_path, encoding):
    folders = [write(small, checkpoint, tmp_path / name, encoding) for name in ("one", "two")]
    contents = [{path.name: path.read_bytes() for path in one.iterdir()} for one in folders]
    assert contents[0] == contents[1]
    assert not any(str(tmp_path).encode() in data for data in contents[0].values())


class Unreadable(Weight):
    """A weight of any size that fails the test if it is read."""

    def __init__(self, name, shape):
        self.name, self.shape, self.dtype = name, shape, FloatType.BF16

    def read_rows(self, start, stop):
        raise AssertionError(f"{self.name} was read")


def test_the_graph_of_a_large_model_is_small_and_laid_out_without_reading(tmp_path):
    raw = {**small_model("llama").raw_config, "hidden_size": 8192, "num_hidden_layers": 80}
    raw |= {"num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128}
    raw |= {"intermediate_size": 28672, "vocab_size": 128256}
    architecture = architecture_of(raw)
    config = architecture.parse(raw)
    shapes = architecture.parameters(config)
    graph = architecture.build(config, {n: Unreadable(n, s) for n, s in shapes.items()})
    target = OnnxTarget()
    for step in target.passes({}):
        step(graph)
    source = Source("large", tmp_path, raw, config)
    layout = target.lay_out(LayoutRequest(source, graph, tokenizer=False))
    sizes = {file.path: file.size for file in layout.files}
    assert sizes["model.onnx"] < 2_000_000
    assert sizes["model.onnx.data"] > 250 * 2**30


def test_users_are_told_how_integer_weights_run(small, checkpoint):
    assert lay_out(OnnxTarget(), small, checkpoint, "f32").notes == ()
    (note,) = lay_out(OnnxTarget(), small, checkpoint, "int8").notes
    assert "disable_quant_qdq" in note


def test_a_missing_tokenizer_is_refused(small, tmp_path):
    with pytest.raises(UnsupportedTokenizerError):
        lay_out(OnnxTarget(), small, tmp_path, "f32", tokenizer=True)


def test_unknown_options_are_refused(small, tmp_path):
    with pytest.raises(UsageError, match="no options"):
        OnnxTarget().passes({"opset": 17})
    source = Source("small", tmp_path, small.raw_config, small.config)
    with pytest.raises(UsageError, match="no options"):
        OnnxTarget().lay_out(LayoutRequest(source, small.graph(), False, {"opset": 17}))
