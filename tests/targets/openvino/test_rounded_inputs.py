"""Layers of 8-bit weights and inputs: what the CPU plugin makes of them, and how they round."""

import copy
import dataclasses
import json
from collections import Counter

import numpy as np
import openvino
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openvino import opset13 as ops

from convert.checkpoint import open_checkpoint
from convert.errors import UsageError
from convert.graph import parameters
from convert.preparation import open_source, prepare, resolve_encoding
from convert.recipe import Artifact
from convert.weight_errors import weight_errors
from passes.calibration.observers import InputRange
from passes.smoothing.division import DIVIDED
from passes.smoothing.measuring import measure
from targets.openvino.rounded_inputs import levels, rounded
from targets.openvino.run import EXACT, OpenVinoRunner
from tests.support.models import random_ids, small_model
from tests.targets.openvino.artifacts import FUSING, write

INT8 = ["*.self_attn.o_proj.weight"]
BF16 = ["model.layers.1.mlp.down_proj.weight"]


@pytest.fixture(scope="module")
def small():
    return small_model("llama", tie_word_embeddings=False, **FUSING)


@pytest.fixture(scope="module")
def checkpoint(small, tmp_path_factory):
    return open_checkpoint(str(small.save(tmp_path_factory.mktemp("checkpoint"))))


@pytest.fixture(scope="module")
def measured(small):
    texts = [row.tolist() for row in random_ids(4, 40, FUSING["vocab_size"])]
    found = measure(small.graph(), texts, (0.5,))
    return lambda alphas: found


def made(checkpoint, measured, folder, **given):
    artifact = resolve_encoding(Artifact(format="openvino", encoding="w8a8", **given))
    item = prepare(
        checkpoint,
        open_source(checkpoint),
        artifact,
        tokenizer=False,
        strict=True,
        measure=measured,
    )
    return item, write(item.layout, folder)


def products(runner):
    """Type in which each FullyConnected multiplies, and its kernel, by the weight it reads."""
    runner.feed([1, 2, 3])
    runner.feed([4])
    infos = [node.get_rt_info() for node in runner.compiled.get_runtime_model().get_ordered_ops()]
    return Counter(
        (info["runtimePrecision"].astype(str), info["primitiveType"].astype(str).rsplit("_")[-1])
        for info in infos
        if info["layerType"].astype(str) == "FullyConnected"
    )


@pytest.mark.parametrize("overrides", [{}, {"INFERENCE_PRECISION_HINT": "f32"}], ids=str)
def test_every_linear_layer_multiplies_bytes_by_bytes(checkpoint, measured, tmp_path, overrides):
    _, folder = made(checkpoint, measured, tmp_path)
    found = products(OpenVinoRunner(folder, threads=2, overrides=overrides))
    assert {kind: count for kind, count in found.items() if kind[0] == "u8"} == {("u8", "I8"): 14}
    assert sum(found.values()) == 15, "the head, too, which reads floats"


def test_layers_that_read_the_same_value_share_its_rounding(checkpoint, measured, tmp_path):
    _, folder = made(checkpoint, measured, tmp_path)
    model = openvino.Core().read_model(folder / "openvino_model.xml")
    kinds = Counter(node.get_type_name() for node in model.get_ordered_ops())
    assert kinds["FakeQuantize"] == 2 * 4


def test_layers_of_other_encodings_stay_what_they_are(checkpoint, measured, tmp_path):
    overrides = [*(("int8", one) for one in INT8), *(("bf16", one) for one in BF16)]
    _, folder = made(
        checkpoint,
        measured,
        tmp_path,
        overrides=[{"pattern": pattern, "encoding": name} for name, pattern in overrides],
    )
    found = products(OpenVinoRunner(folder, threads=2))
    assert found["u8", "I8"] == 14 - 3
    assert sum(found.values()) == 15


def test_the_head_can_be_one_of_them(checkpoint, measured, tmp_path):
    _, folder = made(checkpoint, measured, tmp_path, head="w8a8")
    assert products(OpenVinoRunner(folder, threads=2)) == {("u8", "I8"): 15}


def test_weights_are_stored_as_the_graph_has_them(checkpoint, measured, tmp_path):
    item, folder = made(checkpoint, measured, tmp_path)
    graph = {name: each.weight for name, each in parameters(item.model).items()}
    errors = weight_errors(item.target, folder, graph)
    assert 0.003 < errors[0].relative_rms < 0.02
    assert errors[-1].relative_rms == 0, "norms are stored as they are"


def test_logits_are_those_of_the_original_with_these_weights_and_inputs(
    small, checkpoint, measured, tmp_path
):
    """The original in torch gets the smoothed and rounded weights, and rounds inputs by torch."""
    import torch

    item, folder = made(checkpoint, measured, tmp_path)
    ids = random_ids(1, 30, FUSING["vocab_size"], seed=5)
    found = OpenVinoRunner(folder, threads=2, overrides=EXACT).feed(ids[0].tolist())
    model, smoothed = copy.deepcopy(small.torch_model), measured((0.5,)).smoothed
    stored = {name: torch.from_numpy(each) for name, each in item.target.stored_weights(folder)}
    model.load_state_dict(stored)

    def rounding(group):
        low, high = map(float, levels(smoothed[group].within))
        step = (high - low) / 255
        how = (step, round(-low / step), 0, 255)
        return lambda module, given: (torch.fake_quantize_per_tensor_affine(given[0], *how),)

    for name, group in json.loads(item.model.metadata_props[DIVIDED]).items():
        module = model.get_submodule(name.removesuffix(".weight"))
        module.register_forward_pre_hook(rounding(group))
    expected = dataclasses.replace(small, torch_model=model).logits(ids)[0]
    np.testing.assert_allclose(found[0], expected[0], atol=1e-4)
    # An input that lies between two levels may go to either, which moves the logits after it.
    off, lost = found - expected, expected - small.logits(ids)[0]
    assert np.median(np.abs(off)) < 0.05 * np.median(np.abs(lost))


def test_without_a_calibration_they_are_refused(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="needs a calibration"):
        made(checkpoint, lambda alphas: None, tmp_path)


def test_a_layer_that_calibration_did_not_see_is_refused(checkpoint, measured, tmp_path):
    del (found := measured(())).plain["lm_head.weight"]
    with pytest.raises(UsageError, match=r"range of the inputs of lm_head\.weight"):
        made(checkpoint, lambda alphas: found, tmp_path, head="w8a8", smooth_quant="none")


@settings(max_examples=100, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_zero_is_a_level_and_the_range_is_kept_but_for_half_a_step(one, other):
    within = InputRange(min(one, other), max(one, other))
    low, high = (float(level) for level in levels(within))
    step = (high - low) / 255
    assert step >= 2.0**-101
    assert abs(low / step - round(low / step)) < 1e-3
    assert abs(low - min(within.low, 0)) <= 0.501 * step
    assert abs(high - max(within.high, 0)) <= 0.501 * step or step == 1


def test_values_are_rounded_as_torch_rounds_them():
    import torch

    within = InputRange(-1.3, 4.1)
    low, high = levels(within)
    step = float(high - low) / 255
    x = np.linspace(-3, 6, 1001, dtype=np.float32)
    data = ops.parameter([1001], np.float32)
    model = openvino.Model([ops.result(rounded(data, within))], [data], "rounding")
    found = openvino.Core().compile_model(model, "CPU")(x)[0]
    expected = torch.fake_quantize_per_tensor_affine(
        torch.from_numpy(x), step, round(-float(low) / step), 0, 255
    )
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
