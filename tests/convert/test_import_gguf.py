from __future__ import annotations

import gguf
import ml_dtypes
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from convert.checkpoint import open_checkpoint
from convert.errors import (
    BadHeaderError,
    NonFiniteWeightError,
    OutputExistsError,
    TensorMismatchError,
    TruncatedFileError,
    UnsupportedArchitectureError,
    UsageError,
)
from convert.import_gguf import import_gguf
from convert.weights import read_float32
from tests.support.gguf_files import TinyGguf


def imported(tiny, tmp_path, dtype="f32"):
    import_gguf(tiny.write(tmp_path / "tiny.gguf"), tmp_path / "out", dtype)
    return open_checkpoint(str(tmp_path / "out"))


@pytest.mark.parametrize(
    "tiny",
    [
        TinyGguf(kinds={"attn_q": Kind.Q4_1, "attn_k": Kind.F16, "ffn_up": Kind.BF16}),
        TinyGguf(heads=6, kv_heads=1, head_dim=20, hidden=64, kinds={"attn_output": Kind.F16}),
        TinyGguf(tied=False, kinds={"output": Kind.F32, "ffn_down": Kind.Q5_0}),
        TinyGguf(family="qwen2", pre="qwen2", qkv_bias=True),
        TinyGguf(family="qwen3", pre="qwen2", qk_norm=True, tied=False),
    ],
    ids=["llama", "odd-heads", "untied", "qwen2", "qwen3"],
)
def test_every_weight_is_dequantized_and_in_checkpoint_order(tiny, tmp_path):
    checkpoint = imported(tiny, tmp_path)
    expected = tiny.expected()
    assert checkpoint.weights.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(read_float32(checkpoint.weights[name]), values)


@pytest.mark.parametrize(("dtype", "numpy"), [("bf16", ml_dtypes.bfloat16), ("f16", np.float16)])
def test_weights_are_rounded_to_the_asked_dtype(tmp_path, dtype, numpy):
    tiny = TinyGguf(layers=1)
    checkpoint = imported(tiny, tmp_path, dtype)
    for name, values in tiny.expected().items():
        weight = checkpoint.weights[name]
        assert weight.dtype.value == dtype
        np.testing.assert_array_equal(read_float32(weight), values.astype(numpy).astype("f4"))


def test_the_import_is_the_same_model_in_transformers(tmp_path):
    """Rows of Q and K are where rotate_half wants them: logits equal those of known weights."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    tiny = TinyGguf(kinds=dict.fromkeys(("attn_q", "attn_k"), Kind.F32))
    imported(tiny, tmp_path)
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    config = LlamaConfig(
        vocab_size=len(tiny.tokens), hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-6,
        rope_theta=50000.0, max_position_embeddings=128, tie_word_embeddings=True,
    )  # fmt: skip
    theirs = LlamaForCausalLM(config)
    state = {name: torch.tensor(values) for name, values in tiny.expected().items()}
    theirs.load_state_dict(state, strict=False)
    ids = torch.arange(12).reshape(1, 12)
    with torch.no_grad():
        torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, rtol=0, atol=1e-6)


def test_large_tensors_come_in_several_chunks_with_the_same_result(tmp_path, monkeypatch):
    tiny = TinyGguf(layers=1)
    monkeypatch.setattr("convert.import_gguf._CHUNK_ELEMENTS", 64 * 17)
    checkpoint = imported(tiny, tmp_path)
    for name, values in tiny.expected().items():
        np.testing.assert_array_equal(read_float32(checkpoint.weights[name]), values)


def test_shards_are_imported_as_one_model(tmp_path):
    whole = TinyGguf(tied=False).write(tmp_path / "tiny.gguf")
    first = TinyGguf(tied=False).write(tmp_path / "tiny.gguf", split_max_size=9000)
    assert import_gguf(whole, tmp_path / "a") == (whole,)
    assert import_gguf(first, tmp_path / "b") == tuple(sorted(tmp_path.glob("tiny-*.gguf")))
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_two_imports_have_identical_bytes(tmp_path):
    path = TinyGguf().write(tmp_path / "tiny.gguf")
    for name in ("a", "b"):
        import_gguf(path, tmp_path / name)
    files = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert files == sorted(file.name for file in (tmp_path / "b").iterdir())
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


class TestRefusals:
    def refused(self, error, path, tmp_path, **options):
        with pytest.raises(error) as caught:
            import_gguf(path, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob("*.partial"))
        return caught.value

    def test_an_output_that_exists_is_left_alone(self, tmp_path):
        (tmp_path / "out").mkdir()
        with pytest.raises(OutputExistsError):
            import_gguf(TinyGguf().write(tmp_path / "tiny.gguf"), tmp_path / "out")

    def test_an_unknown_dtype(self, tmp_path):
        self.refused(UsageError, TinyGguf().write(tmp_path / "t.gguf"), tmp_path, dtype="int8")

    def test_an_unknown_architecture(self, tmp_path):
        path = TinyGguf(family="gemma2").write(tmp_path / "t.gguf")
        assert "gemma2" in str(self.refused(UnsupportedArchitectureError, path, tmp_path))

    def test_a_tensor_without_a_place(self, tmp_path):
        extra = {"blk.0.ssm_conv1d.weight": np.zeros((64, 64), "f4")}
        path = TinyGguf(extra=extra).write(tmp_path / "t.gguf")
        assert "ssm_conv1d" in str(self.refused(TensorMismatchError, path, tmp_path))

    def test_a_missing_tensor(self, tmp_path):
        path = TinyGguf(layers=1, metadata={}).write(tmp_path / "t.gguf")
        data = path.read_bytes().replace(b"blk.0.ffn_up.weight", b"blk.1.ffn_up.weight")
        path.write_bytes(data)
        found = str(self.refused(TensorMismatchError, path, tmp_path))
        assert "1 missing: model.layers.0.mlp.up_proj.weight" in found

    def test_a_tensor_that_disagrees_with_the_metadata(self, tmp_path):
        extra = {"blk.0.attn_v.weight": np.zeros((16, 64), "f4")}
        path = TinyGguf(extra=extra).write(tmp_path / "t.gguf")
        error = self.refused(TensorMismatchError, path, tmp_path)
        assert "v_proj.weight [16, 64], not [32, 64]" in str(error)

    def test_a_value_that_the_dtype_cannot_hold(self, tmp_path):
        extra = {"output_norm.weight": np.full(64, 1e6, "f4")}
        path = TinyGguf(extra=extra).write(tmp_path / "t.gguf")
        self.refused(NonFiniteWeightError, path, tmp_path, dtype="f16")

    def test_nan(self, tmp_path):
        extra = {"output_norm.weight": np.full(64, np.nan, "f4")}
        path = TinyGguf(extra=extra).write(tmp_path / "t.gguf")
        self.refused(NonFiniteWeightError, path, tmp_path)

    def test_a_truncated_file(self, tmp_path):
        path = TinyGguf().write(tmp_path / "t.gguf")
        path.write_bytes(path.read_bytes()[:-40])
        self.refused(TruncatedFileError, path, tmp_path)

    def test_something_else_than_a_gguf(self, tmp_path):
        path = tmp_path / "t.gguf"
        path.write_bytes(b"PK\x03\x04" + bytes(100))
        self.refused(BadHeaderError, path, tmp_path)


def test_the_tiny_file_is_one_that_the_gguf_package_reads(tmp_path):
    reader = gguf.GGUFReader(TinyGguf().write(tmp_path / "tiny.gguf"))
    assert {tensor.name for tensor in reader.tensors} == set(TinyGguf().weights())
