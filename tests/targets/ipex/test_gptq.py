"""GPTQ words: the stored integers, by readers that are not the writer."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import UnsupportedEncodingError
from convert.journal import Journal
from convert.parameter import Parameter
from convert.stream import write_layouts
from convert.weights import ArrayWeight
from passes.encodings.int4 import int4_sym
from targets.base import Layout
from targets.ipex.gptq import gptq_config, gptq_layer
from targets.ipex.unpack import codes, weights, zero_points
from targets.safetensors_layout import lay_out_safetensors


def parameter(rows, columns, group):
    values = np.random.default_rng(rows + columns).standard_normal((rows, columns), np.float32)
    return Parameter(ArrayWeight("m.weight", values), int4_sym(group))


def stored(own, folder, chunk_bytes=1 << 20):
    """The tensors of a layer, written by the stream."""
    from safetensors.numpy import load_file

    tensors, filled = gptq_layer("m", own, own.encoding)
    layout = lay_out_safetensors(tensors)
    jobs = (filled.job(layout.placements),)
    write_layouts([(folder, Layout(layout.files, jobs))], chunk_bytes=chunk_bytes)
    return {
        name.removeprefix("m."): tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }


def signed_codes(own):
    """The codes ``[out, in]`` that the encoding chose, a nibble at a time."""
    plane = own.encoding.encode(own.weight.array)[0].tolist()
    nibbles = [nibble for byte in plane for nibble in (byte & 15, byte >> 4)]
    signed = [nibble - 16 if nibble > 7 else nibble for nibble in nibbles]
    return np.array(signed).reshape(own.weight.shape)


@settings(deadline=None, max_examples=20)
@given(
    rows=st.integers(1, 9),
    groups=st.integers(1, 3),
    group=st.sampled_from([16, 32, 64]),
    chunk=st.integers(1, 60_000),
)
def test_words_unpack_to_the_codes_that_were_chosen(tmp_path_factory, rows, groups, group, chunk):
    own = parameter(8 * rows, groups * group, group)
    found = stored(own, tmp_path_factory.mktemp("layer"), chunk)
    assert found["qweight"].shape == (groups * group // 8, 8 * rows)
    assert found["scales"].shape == (groups, 8 * rows)
    assert found["qzeros"].shape == (groups, rows)
    assert {name: str(tensor.dtype) for name, tensor in found.items()} == {
        "qweight": "int32",
        "qzeros": "int32",
        "scales": "float16",
        "g_idx": "int32",
    }
    assert np.array_equal(codes(found["qweight"]).T - 8, signed_codes(own))
    assert (zero_points(found["qzeros"]) == 8).all()
    assert found["g_idx"].tolist() == [column // group for column in range(groups * group)]
    decoded = weights(found["qweight"], found["qzeros"], found["scales"], found["g_idx"])
    planes = own.encoding.encode(own.weight.array)
    assert np.array_equal(decoded, own.encoding.decode(planes, *own.weight.shape))


class CountingWeight(ArrayWeight):
    """Remembers which rows were read."""

    def read_rows(self, start, stop):
        self.__dict__.setdefault("reads", []).append((start, stop))
        return super().read_rows(start, stop)


def test_an_interrupted_run_writes_what_is_missing(tmp_path):
    own = parameter(64, 96, 32)
    weight = CountingWeight("m.weight", own.weight.array)
    tensors, filled = gptq_layer("m", Parameter(weight, own.encoding), own.encoding)
    layout = lay_out_safetensors(tensors)
    planned = Layout(layout.files, (filled.job(layout.placements),))
    folder = tmp_path / "artifact"
    folder.mkdir()

    def write():
        weight.__dict__["reads"] = []
        with Journal(tmp_path / "journal", folder) as journal:
            written = write_layouts(
                [(folder, planned)], chunk_bytes=16 * 96 * 4, journals={folder: journal}
            )
        return written, weight.__dict__["reads"]

    first, reads = write()
    assert reads == [(0, 16), (16, 32), (32, 48), (48, 64)]
    with (folder / "model.safetensors").open("r+b") as file:
        # The word of row 20 in the fourth of twelve runs.
        file.seek(layout.placements["m.qweight"].offset + (3 * 64 + 20) * 4)
        file.write(bytes(4))
    second, reads = write()
    assert reads == [(16, 32)]
    sums = [files[folder]["model.safetensors"].record.sha256 for files in (first, second)]
    assert sums[0] == sums[1]
    assert sums[0] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.slow  # imports neural-compressor
def test_neural_compressor_reads_the_same(tmp_path):
    torch = pytest.importorskip("torch")
    modules = pytest.importorskip("neural_compressor.torch.algorithms.weight_only.modules")
    own = parameter(24, 96, 32)
    found = stored(own, tmp_path)
    layer = modules.INCWeightOnlyLinear(
        96, 24, bits=4, group_size=32, zp=True, g_idx=True, use_optimum_format=True
    )
    tensors = {name: torch.from_numpy(tensor) for name, tensor in found.items()}
    assert not layer.load_state_dict(tensors, strict=False).unexpected_keys
    planes = own.encoding.encode(own.weight.array)
    expected = own.encoding.decode(planes, 24, 96)
    assert np.array_equal(layer.recover().float().numpy(), expected.astype(np.float16))


@pytest.mark.parametrize(("rows", "columns", "group"), [(12, 32, 32), (16, 36, 18)])
def test_what_fills_no_words_is_refused(rows, columns, group):
    own = parameter(rows, columns, group)
    with pytest.raises(UnsupportedEncodingError, match=r"GPTQ cannot store 'm\.weight'"):
        gptq_layer("m", own, own.encoding)


def test_zero_points_of_equal_layers_are_held_once():
    first, second = (gptq_layer(name, parameter(16, 64, 32), int4_sym(32)) for name in "ab")
    assert first[0][1].data is second[0][1].data


def test_the_config_says_all_that_readers_ask_for():
    config = json.loads(json.dumps(gptq_config(64, ["model.layers.0.mlp.down_proj"])))
    assert config == {
        "quant_method": "gptq",
        "checkpoint_format": "gptq",
        "pack_dtype": "int32",
        "bits": 4,
        "group_size": 64,
        "sym": True,
        "desc_act": False,
        "lm_head": False,
        "dynamic": {r"-:^model\.layers\.0\.mlp\.down_proj$": {}},
    }
    assert "dynamic" not in gptq_config(128, [])
