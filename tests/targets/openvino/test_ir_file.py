"""Weights have their places before any is read, and names do not depend on the process."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from convert.errors import UnsupportedError
from convert.weights import ArrayWeight
from targets.openvino.ir_file import ALIGNMENT, _with_constants
from tests.support.models import SmallModel, small_model
from tests.targets.openvino.artifacts import encode_as, lay_out


@pytest.fixture(scope="module")
def layout():
    return lay_out(small_model("llama"), quantize=encode_as("int4_g16"))


def test_weights_are_aligned_and_do_not_overlap(layout):
    xml, bin_file = layout.files[:2]
    ((start, constants),) = bin_file.segments
    end = start + len(constants)
    assert len(constants) < 10_000
    for job in layout.jobs:
        planes = job.encoding.planes(job.weight.columns)
        for plane, placement in zip(planes, job.placements, strict=True):
            assert placement.file == bin_file.path
            assert placement.offset % ALIGNMENT == 0
            assert 0 <= placement.offset - end < ALIGNMENT
            end = placement.offset + plane.nbytes(job.weight.rows)
    assert end == bin_file.size
    assert xml.size == len(xml.segments[0][1])


def test_only_the_inputs_stay_parameters(layout):
    root = ElementTree.fromstring(layout.files[0].segments[0][1])
    layers = [layer for layer in root.iter("layer") if layer.get("type") == "Parameter"]
    names = [layer.get("name") for layer in layers]
    assert sorted(names) == ["attention_mask", "beam_idx", "input_ids", "position_ids"]


def test_constants_point_to_their_bytes(layout):
    root = ElementTree.fromstring(layout.files[0].segments[0][1])
    size = layout.files[1].size
    for layer in root.iter("layer"):
        if layer.get("type") == "Const":
            data = layer.find("data")
            assert int(data.get("offset")) + int(data.get("size")) <= size


def test_names_hold_no_counters_of_the_process(layout):
    root = ElementTree.fromstring(layout.files[0].segments[0][1])
    names = [layer.get("name") for layer in root.iter("layer")]
    assert len(set(names)) == len(names)
    assert "model.layers.0.self_attn.Attention" in names


def test_a_weight_that_left_the_graph_is_an_error():
    with pytest.raises(UnsupportedError, match="w/codes"):
        _with_constants(b"<net><layers/></net>", {"w/codes": (0, 1)})


def test_a_layer_of_a_model_of_102_billion_takes_4_127_bits_a_weight():
    config = {
        **{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rms_norm_eps": 1e-6},
        **{"hidden_size": 8192, "intermediate_size": 32768, "num_hidden_layers": 1},
        **{"num_attention_heads": 64, "vocab_size": 8},
    }
    wide = [f"self_attn.{name}_proj" for name in "qkvo"] + ["mlp.gate_proj", "mlp.up_proj"]
    shapes = {f"{name}.weight": (32768 if "mlp" in name else 8192, 8192) for name in wide}
    shapes |= {"mlp.down_proj.weight": (8192, 32768)}
    shapes |= {f"{name}_layernorm.weight": (8192,) for name in ("input", "post_attention")}
    shapes = {f"model.layers.0.{name}": shape for name, shape in shapes.items()}
    shapes |= {"model.norm.weight": (8192,)}
    shapes |= {"model.embed_tokens.weight": (8, 8192), "lm_head.weight": (8, 8192)}
    weights = {
        name: ArrayWeight(name, np.broadcast_to(np.float32(0), shape))
        for name, shape in shapes.items()
    }
    layout = lay_out(SmallModel(None, config, weights), quantize=encode_as("nf4_dq"))
    count = 4 * 8192**2 + 3 * 8192 * 32768
    assert 8 * layout.files[1].size / count == pytest.approx(4.127, abs=0.002)
