"""Checkpoints with the experts of a layer in one tensor are read as those with one each."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from convert.architectures import architecture_of
from convert.checkpoint import open_checkpoint, require_tensors
from convert.errors import TensorMismatchError, UnsupportedError
from convert.expert_tensors import (
    ExpertNames,
    JoinedPart,
    expert_by_expert,
    joined_place,
    router_place,
)
from convert.weights import ArrayWeight, FileWeight, read_float32
from tests.support.models import small_model

MIXTRAL = ExpertNames("block_sparse_moe", ("w1", "w3", "w2"))
SIZES = {"num_hidden_layers": 1, "num_local_experts": 3}


@pytest.fixture(scope="module", params=["mixtral", "qwen3_moe"])
def saved(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    model = small_model(request.param, num_experts_per_tok=2, **SIZES)
    hub = model.save(folder / "hub")
    joined = model.save(folder / "joined", save_original_format=False)
    pickled = folder / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_bytes((joined / "config.json").read_bytes())
    turned = {
        name: tensor.mT.contiguous().mT if tensor.ndim == 3 else tensor
        for name, tensor in model.torch_model.state_dict().items()
    }
    torch.save(turned, pickled / "pytorch_model.bin")
    return hub, joined, pickled


def test_all_layouts_hold_the_same_tensors(saved):
    hub, *others = map(open_checkpoint, map(str, saved))
    architecture = architecture_of(hub.config)
    expected = architecture.parameters(architecture.parse(hub.config))
    require_tensors(hub, expected)
    for other in others:
        require_tensors(other, expected)
        for name, weight in other.weights.items():
            assert weight.name == name
            np.testing.assert_array_equal(read_float32(weight), read_float32(hub.weights[name]))
            part = weight.read_rows(1, 3).astype(np.float32)
            np.testing.assert_array_equal(part, hub.weights[name].read_rows(1, 3))


def test_parts_of_a_plain_file_are_read_where_they_lie(saved):
    _, joined, pickled = saved
    kinds = {type(weight) for weight in open_checkpoint(str(joined)).weights.values()}
    assert kinds == {FileWeight}
    weights = open_checkpoint(str(pickled)).weights.values()
    assert {type(weight) for weight in weights} == {FileWeight, JoinedPart}


def test_a_tensor_of_another_form_keeps_its_name_and_is_refused(tmp_path):
    odd = ArrayWeight("model.layers.0.mlp.experts.gate_up_proj", np.zeros((3, 5, 4), np.float32))
    flat = ArrayWeight("model.layers.0.mlp.experts.down_proj", np.zeros((3, 4), np.float32))
    names = expert_by_expert({odd.name: odd, flat.name: flat}, MIXTRAL)
    assert set(names) == {odd.name, flat.name}
    model = small_model("mixtral", **SIZES)
    model.save(tmp_path, save_original_format=False)
    checkpoint = open_checkpoint(str(tmp_path))
    without = {name: each for name, each in checkpoint.weights.items() if ".2.w3" not in name}
    object.__setattr__(checkpoint, "weights", {**without, odd.name: odd})
    expected = architecture_of(model.raw_config).parameters(model.config)
    with pytest.raises(TensorMismatchError) as caught:
        require_tensors(checkpoint, expected)
    assert "experts.2.w3.weight" in str(caught.value)
    assert "experts.gate_up_proj" in str(caught.value)


def test_where_transformers_has_a_matrix():
    scope = "model.layers.3.block_sparse_moe"
    joined = "model.layers.3.mlp.experts"
    assert joined_place(f"{scope}.experts.11.w1.weight", MIXTRAL) == (
        f"{joined}.gate_up_proj",
        11,
        0,
    )
    assert joined_place(f"{scope}.experts.11.w3.weight", MIXTRAL) == (
        f"{joined}.gate_up_proj",
        11,
        1,
    )
    assert joined_place(f"{scope}.experts.0.w2.weight", MIXTRAL) == (f"{joined}.down_proj", 0, -1)
    assert joined_place(f"{scope}.gate.weight", MIXTRAL) is None
    assert joined_place(f"{scope}.experts.0.w4.weight", MIXTRAL) is None
    assert router_place(f"{scope}.gate.weight", MIXTRAL) == "model.layers.3.mlp.gate.weight"
    assert router_place("model.norm.weight", MIXTRAL) == "model.norm.weight"


def test_values_of_a_part_cannot_be_put_back_row_by_row():
    joined = ArrayWeight("joined", np.zeros((3, 6, 4), np.float32))
    part = JoinedPart("part", joined, 1, 0, 3)
    assert part.identity == JoinedPart("other name", joined, 1, 0, 3).identity
    assert part.identity != JoinedPart("part", joined, 1, 3, 6).identity
    with pytest.raises(UnsupportedError, match="joined"):
        list(part.put_back(np.zeros((3, 4), np.float32)))
