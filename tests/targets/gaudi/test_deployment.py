"""The files beside the weights: only names that exist, commands of the deployment, same bytes."""

from __future__ import annotations

import re

import pytest

from convert.architectures import architecture_of
from convert.unread_weights import unread_weights
from passes.quantize import Policy, Quantize
from targets.base import Source
from targets.gaudi.bucket_file import bucket_file
from targets.gaudi.buckets import choose_buckets
from targets.gaudi.deployment import deployment_files, without_runtime
from targets.gaudi.memory import plan_memory
from targets.gaudi.options import GaudiOptions
from tests.support.published import LLAMA_7B

LLAMA = {**LLAMA_7B, "num_hidden_layers": 1, "max_position_embeddings": 20_000}
BLOOM = {
    "architectures": ["BloomForCausalLM"],
    "model_type": "bloom",
    "n_layer": 2,
    "hidden_size": 96,
    "n_head": 6,
    "vocab_size": 131,
}

VLLM_VARIABLES = {
    "VLLM_BUCKETING_FROM_FILE",
    "VLLM_CONTIGUOUS_PA",
    "PT_HPU_LAZY_MODE",
    "PT_HPU_ENABLE_LAZY_COLLECTIVES",
}
"""Read by vllm-gaudi 091bbad: extension/features.py, docs/configuration/env_variables.md."""

RUN_GENERATION_FLAGS = {
    *("--model_name_or_path", "--bf16", "--use_hpu_graphs", "--use_kv_cache", "--batch_size"),
    *("--max_input_tokens", "--max_new_tokens", "--trim_logits", "--reuse_cache"),
    *("--bucket_internal", "--bucket_size", "--use_flash_attention"),
    "--flash_attention_recompute",
}
"""Of optimum-habana 1d8504c, examples/text-generation/run_generation.py."""


def files(tmp_path, raw, *, compressed=False, **options):
    architecture = architecture_of(raw)
    config = architecture.parse(raw)
    graph = architecture.build(config, unread_weights(architecture.parameters(config), raw))
    Quantize(Policy("bf16", "bf16", "bf16", (), ("bf16",), vectors="bf16"))(graph)
    chosen = GaudiOptions(**options)
    buckets, plan = choose_buckets(config, chosen), plan_memory(config, graph, chosen)
    source = Source("small", tmp_path, raw, config)
    made = deployment_files(source, chosen, buckets, plan, compressed=compressed)
    for file in made:
        assert file.segments == ((0, file.segments[0][1]),)
        assert file.size == len(file.segments[0][1])
    texts = {file.path: file.segments[0][1].decode() for file in made}
    return texts, buckets


def test_the_guide_begins_with_what_is_not_known(tmp_path):
    texts, _ = files(tmp_path, LLAMA)
    guide = texts["DEPLOY.md"]
    assert guide.index("Unverified on Gaudi") < guide.index("##")
    assert "bytes on each" in guide
    assert str(tmp_path) not in "".join(texts.values())
    assert files(tmp_path, LLAMA)[0] == texts


def test_one_card_and_several_are_launched_differently(tmp_path):
    alone = files(tmp_path, LLAMA)[0]["DEPLOY.md"]
    shared = files(tmp_path, LLAMA, cards=2, prompt_tokens=9000)[0]["DEPLOY.md"]
    assert "gaudi_spawn" not in alone and "DeepSpeed\n" not in alone
    assert "gaudi_spawn.py --use_deepspeed --world_size 2" in shared
    assert '"tp_size": 2' in shared
    assert "caps `max_position_embeddings` of Llama at 8192" in shared
    assert "--tensor-parallel-size 2" in shared
    assert 'LlamaDecoderLayer: ("self_attn.o_proj", "mlp.down_proj")' in shared
    assert "caps" not in files(tmp_path, LLAMA, cards=2)[0]["DEPLOY.md"]


@pytest.mark.parametrize("raw", [LLAMA, BLOOM], ids=["llama", "bloom"])
@pytest.mark.parametrize("card", ["gaudi1", "gaudi2"])
def test_only_flags_that_exist_are_written(tmp_path, raw, card):
    options = {"card": card, "prompt_tokens": 16, "new_tokens": 100, "batch": 3}
    guide = files(tmp_path, raw, **options)[0]["DEPLOY.md"]
    section = guide.partition("## optimum-habana")[2].partition("\n## ")[0]
    flags = re.findall(r"--[a-z_0-9]+", section.partition("```bash")[2])
    assert set(flags) <= RUN_GENERATION_FLAGS
    assert "--max_input_tokens 16" in section and "--max_new_tokens 100" in section
    assert "--batch_size 3" in section
    assert ("--reuse_cache" in flags) == (raw is LLAMA)
    assert ("--use_flash_attention" in flags) == (raw is LLAMA and card == "gaudi2")


def test_vllm_gets_its_buckets_and_only_variables_that_exist(tmp_path):
    texts, buckets = files(tmp_path, LLAMA, batch=4, cards=2)
    assert texts["vllm-buckets.txt"] == bucket_file(buckets)
    variables = dict(line.split("=") for line in texts["vllm.env"].splitlines())
    assert set(variables) == VLLM_VARIABLES
    assert variables["VLLM_BUCKETING_FROM_FILE"] in texts
    guide = texts["DEPLOY.md"]
    assert f"--max-model-len {buckets.longest}" in guide
    assert "--max-num-seqs 4" in guide
    alone = files(tmp_path, LLAMA)[0]["vllm.env"]
    assert "PT_HPU_ENABLE_LAZY_COLLECTIVES" not in alone


def test_bloom_is_not_for_vllm(tmp_path):
    texts, _ = files(tmp_path, BLOOM)
    assert set(texts) == {"DEPLOY.md"}
    assert "vllm serve" not in texts["DEPLOY.md"]


def test_compressed_weights_are_for_vllm_alone(tmp_path):
    guide = files(tmp_path, LLAMA, compressed=True, cards=2)[0]["DEPLOY.md"]
    assert "vllm serve" in guide
    assert "run_generation" not in guide and "checkpoints.json" not in guide


@pytest.mark.parametrize(
    ("raw", "compressed", "said"),
    [(LLAMA, True, None), (BLOOM, False, None), (BLOOM, True, "FP8 checkpoints of bloom")],
)
def test_what_no_runtime_reads_is_said(raw, compressed, said):
    note = without_runtime(architecture_of(raw).parse(raw), compressed=compressed)
    assert note is None if said is None else said in note


def test_neural_compressor_is_mentioned_where_its_files_are(tmp_path):
    with_files, _ = files(tmp_path, LLAMA, inc=True)
    without, _ = files(tmp_path, LLAMA)
    assert "QUANT_CONFIG=inc/quant_config.json" in with_files["DEPLOY.md"]
    assert "QUANT_CONFIG" not in without["DEPLOY.md"]
