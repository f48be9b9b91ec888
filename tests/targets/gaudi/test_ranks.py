"""An artifact of ranks: its files, its refusals, and ranks that are together the whole model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from convert.checkpoint import open_checkpoint
from convert.errors import UnsupportedError, UsageError
from convert.inspection import inspect
from convert.preparation import deployment_options, open_source, prepare
from convert.recipe import Artifact
from convert.weights import read_float32
from targets.gaudi import program_files, ranks_guide, ranks_layout, ranks_program
from targets.gaudi.audit import audit, load_program
from targets.gaudi.collectives import COLLECTIVES
from targets.gaudi.ranks_run import PROGRAM, GaudiRanksRunner
from targets.gaudi.run import GaudiRunner
from targets.gaudi.stored import stored_ranks
from targets.gaudi.stored_tensors import mapped_tensors
from targets.gaudi.target import GaudiTarget
from targets.ranks.shard import Shard
from tests.support.models import random_ids, small_model
from tests.support.ort import relative_error
from tests.support.rank_artifacts import make_pair

assert ranks_guide and ranks_layout
IDS = random_ids(1, 12, 101)[0].tolist()


SIZES = {"batch": 2, "prompt_tokens": 12, "new_tokens": 12}


def one_layer():
    """Biases and an odd vocabulary, whose parts are of different lengths."""
    return small_model("llama", attention_bias=True, mlp_bias=True, num_hidden_layers=1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What stands for programs says which rank it was asked for: exporting takes seconds."""
    folder = tmp_path_factory.mktemp("gaudi-ranks")

    def export(request):
        return dict.fromkeys(request.tokens, str(request.shard).encode())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program_files, "static_programs", export)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return make_pair(one_layer(), folder, 2, "bf16", target="gaudi", **SIZES)


@pytest.fixture(scope="module")
def with_programs(tmp_path_factory):
    """The same with real programs."""
    folder = tmp_path_factory.mktemp("gaudi-programs")
    return make_pair(one_layer(), folder, 2, "bf16", target="gaudi", **SIZES)


def test_files(pair):
    found = {str(path.relative_to(pair.cut)) for path in pair.cut.rglob("*") if path.is_file()}
    own = ("config.json", "decode.pt2", "model.safetensors", "prefill-12.pt2")
    assert found == {
        "DEPLOY.md",
        "config.json",
        "generation_config.json",
        "tensor_parallel.json",
        *(f"rank-{rank}/{name}" for rank in (0, 1) for name in own),
    }
    assert "rank-R/" in (pair.cut / "DEPLOY.md").read_text()
    for rank in (0, 1):
        asked = (pair.cut / f"rank-{rank}" / "decode.pt2").read_text()
        assert asked == str(Shard(2, rank, 16))


def test_inspection_lists_every_rank(pair):
    found = inspect(pair.cut)
    assert (found.kind, found.metadata["ranks"]) == ("safetensors", 2)
    shapes = {tensor.name: tensor.shape for tensor in found.tensors}
    name = "model.layers.0.self_attn.o_proj.bias"
    assert shapes[f"rank-0/{name}"] == shapes[f"rank-1/{name}"] == (pair.model.config.hidden,)


@pytest.mark.slow
def test_programs_exchange_and_hold_the_ranks_own_heads(with_programs):
    for rank in (0, 1):
        program = load_program(with_programs.cut / f"rank-{rank}" / "decode.pt2")
        audit(program)
        assert {node.target for node in program.graph.nodes} >= COLLECTIVES
        shapes = {node.name: tuple(node.meta["val"].shape) for node in program.graph.nodes
                  if node.op == "placeholder"}  # fmt: skip
        heads = with_programs.model.config.kv_heads // 2
        assert shapes["caches_past_key_values_0_key"][:3] == (2, heads, 24)


def test_the_parts_are_the_weights(pair):
    found = dict(stored_ranks(pair.cut))
    assert found.keys() == pair.model.weights.keys()
    for name, weight in pair.model.weights.items():
        wanted = torch.from_numpy(read_float32(weight).copy()).to(torch.bfloat16).float().numpy()
        np.testing.assert_array_equal(found[name], wanted)


def test_in_float32_they_compute_what_one_process_computes(pair):
    alone = GaudiRunner(pair.whole, threads=1, dtype=torch.float32)
    with GaudiRanksRunner(pair.cut, threads=2, float32=True) as ranks:
        for prefill in (7, 1):
            assert relative_error(ranks.logits(IDS, prefill), alone.logits(IDS, 7)) < 1e-5
        for runner in (ranks, alone):
            runner.reset()
        prompts = [IDS[:5], IDS[3:]]
        assert relative_error(ranks.begin(prompts), alone.begin(prompts)) < 1e-5
        assert relative_error(ranks.advance([4, 5]), alone.advance([4, 5])) < 1e-5


@pytest.mark.slow
def test_their_own_programs_are_as_exact_as_the_whole_models(with_programs):
    exact = GaudiRunner(with_programs.whole, threads=1, dtype=torch.float32).logits(IDS, 7)
    whole = GaudiTarget().runner(with_programs.whole, threads=1)
    with GaudiTarget().runner(with_programs.cut, threads=2) as ranks:
        assert isinstance(ranks, GaudiRanksRunner)
        assert ranks.context == 24
        ours = np.abs(ranks.logits(IDS, 7) - exact).mean()
        assert 0 < ours < 1.5 * np.abs(whole.logits(IDS, 7) - exact).mean()
        assert ranks.tokenize("text") is None
        with pytest.raises(UnsupportedError, match="for a batch of 2"):
            ranks.begin([[1], [2], [3]])


@pytest.fixture(scope="module")
def fp8(tmp_path_factory):
    """FP8 without programs of its own."""
    model, folder = small_model("llama", num_hidden_layers=1), tmp_path_factory.mktemp("fp8-ranks")
    options = {"activations": "dynamic", "graphs": False}
    return make_pair(model, folder, 2, "fp8", target="gaudi", **options)


def test_scales_of_rows_are_cut_with_the_rows(fp8):
    layer, hidden = "model.layers.0.self_attn", fp8.model.config.hidden
    whole = mapped_tensors(fp8.whole)
    ranks = [mapped_tensors(fp8.cut / f"rank-{rank}") for rank in (0, 1)]
    for name in (f"{layer}.q_proj.weight", f"{layer}.q_proj.weight_scale"):
        joined = torch.cat([rank[name].float() for rank in ranks])
        assert torch.equal(joined, whole[name].float())
    assert all(len(rank[f"{layer}.o_proj.weight_scale"]) == hidden for rank in ranks)
    config = json.loads((fp8.cut / "rank-1" / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "compressed-tensors"
    assert "without\nprograms" in (fp8.cut / "DEPLOY.md").read_text()


@pytest.mark.slow
def test_in_fp8_they_are_as_exact_as_the_whole_model(fp8):
    exact = fp8.model.logits(np.array([IDS]))[0]
    theirs = np.abs(GaudiRunner(fp8.whole, threads=1).logits(IDS, 7) - exact).mean()
    with GaudiTarget().runner(fp8.cut, threads=2) as runner:
        assert 0 < np.abs(runner.logits(IDS, 7) - exact).mean() < 1.5 * theirs


def artifact_with(**options):
    return Artifact(format="gaudi", tensor_parallel=2, options=options)


def test_a_card_for_each_rank():
    assert deployment_options(artifact_with())["cards"] == 2
    assert deployment_options(artifact_with(cards=2))["cards"] == 2
    for cards in (1, 4):
        with pytest.raises(UsageError, match="2 ranks are for as many cards"):
            deployment_options(artifact_with(cards=cards))


def test_measurements_are_for_a_whole_checkpoint(tmp_path):
    checkpoint = open_checkpoint(str(small_model("llama", num_hidden_layers=1).save(tmp_path)))
    artifact = artifact_with(inc=True, graphs=False).model_copy(update={"encoding": "bf16"})
    with pytest.raises(UsageError, match="for a whole checkpoint"):
        prepare(checkpoint, open_source(checkpoint), artifact, tokenizer=False, strict=False)


def test_the_program_of_a_rank_is_where_the_runner_starts_it():
    assert ranks_program.__name__ == PROGRAM
