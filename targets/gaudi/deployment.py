"""The files that tell a user, and vLLM, how to run the checkpoint on the cards it was made for."""

from __future__ import annotations

from collections.abc import Sequence

from convert.architectures.base import DecoderConfig
from targets.base import OutputFile, Source
from targets.deployment import DeploymentPlan
from targets.gaudi.bucket_file import bucket_file
from targets.gaudi.buckets import Buckets
from targets.gaudi.inc import QUANT_CONFIG
from targets.gaudi.memory import BLOCK
from targets.gaudi.options import GaudiOptions
from targets.gaudi.settings import REUSE_CACHE_FAMILIES, cache_bucket, uses_fused_attention

VLLM_FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Families that vLLM on Gaudi runs. BLOOM's linear biases it has in some of its attention
kernels only, and Yuan not at all."""

OPTIMUM_HABANA_FAMILIES = VLLM_FAMILIES | {"bloom"}
"""Families that optimum-habana runs by models of its own."""

DEEPSPEED_POSITIONS = 8192
"""What optimum-habana caps the positions of Llama to when DeepSpeed loads it (examples/
text-generation/utils.py)."""

_SUMMED = {
    "bloom": 'BloomBlock: ("self_attention.dense", "mlp.dense_4h_to_h")',
    "llama": 'LlamaDecoderLayer: ("self_attn.o_proj", "mlp.down_proj")',
    "mistral": 'MistralDecoderLayer: ("self_attn.o_proj", "mlp.down_proj")',
}
"""Layers whose results are summed over the cards, by a family's class of decoder layers: what
optimum-habana gives DeepSpeed as ``injection_policy``; others DeepSpeed finds by itself."""

BUCKETS, ENVIRONMENT, GUIDE = "vllm-buckets.txt", "vllm.env", "DEPLOY.md"


def deployment_files(
    source: Source,
    options: GaudiOptions,
    buckets: Buckets,
    plan: DeploymentPlan,
    *,
    compressed: bool,
) -> list[OutputFile]:
    """DEPLOY.md and, for families that vLLM runs, its bucket file and environment.

    Args:
        source: The checkpoint.
        options: The deployment.
        buckets: Chosen for it.
        plan: Its memory.
        compressed: Whether weights are in FP8 (compressed-tensors), which vLLM alone reads.
    """
    by_vllm = source.config.family in VLLM_FAMILIES
    sections = [head(source, plan)]
    if not compressed and source.config.family in OPTIMUM_HABANA_FAMILIES:
        sections.append(_optimum_habana(source.config, options))
        sections += [_deepspeed(source.config, options)] if options.cards > 1 else []
    if by_vllm:
        sections.append(_vllm(options, buckets))
    files = [OutputFile.whole(GUIDE, ("\n\n".join(sections) + "\n").encode())]
    if by_vllm:
        files.append(OutputFile.whole(BUCKETS, bucket_file(buckets).encode()))
        files.append(OutputFile.whole(ENVIRONMENT, _environment(options).encode()))
    return files


def without_runtime(config: DecoderConfig, *, compressed: bool) -> str | None:
    """What a user should know where no runtime for Gaudi is known to run the checkpoint."""
    if config.family in (VLLM_FAMILIES if compressed else OPTIMUM_HABANA_FAMILIES):
        return None
    form = "FP8 checkpoints" if compressed else "checkpoints"
    return (
        f"no runtime for Gaudi is known to read {form} of {config.family} models; what runs this "
        "one are its static programs"
    )


def head(source: Source, plan: DeploymentPlan) -> str:
    """Title, what is unverified, and the plan."""
    return "\n".join(
        [
            f"# Running {source.label} on Gaudi",
            "",
            "**Unverified on Gaudi:** no card was at hand when this was written. Commands and "
            "settings follow the sources of optimum-habana 1.20, DeepSpeed and vllm-gaudi.",
            "",
            "```text",
            *plan.lines(),
            "```",
        ]
    )


def _optimum_habana(config: DecoderConfig, options: GaudiOptions) -> str:
    """run_generation.py of optimum-habana's examples/text-generation."""
    prompt, context = options.longest_prompt(config), options.context(config)
    launcher = "python run_generation.py"
    if options.cards > 1:
        launcher = (
            f"python ../gaudi_spawn.py --use_deepspeed --world_size {options.cards} "
            "run_generation.py"
        )
    flags = [
        "--model_name_or_path .",
        "--bf16",
        "--use_hpu_graphs",
        "--use_kv_cache",
        f"--batch_size {options.batch}",
        f"--max_input_tokens {prompt}",
        f"--max_new_tokens {context - prompt}",
    ]
    if config.family in REUSE_CACHE_FAMILIES:
        flags += ["--trim_logits", "--reuse_cache"]
        if context > BLOCK:
            flags += ["--bucket_internal", f"--bucket_size {cache_bucket(context)}"]
    if uses_fused_attention(config, options):
        flags += ["--use_flash_attention", "--flash_attention_recompute"]
    lines = [
        "## optimum-habana",
        "",
        "From its `examples/text-generation`, with `.` replaced by this folder. The script "
        "overwrites most of generation_config.json by its own flags; `model.generate` takes "
        "the file as it is.",
        "",
        _shell(f"PT_HPU_LAZY_MODE=1 {launcher}", flags),
    ]
    if options.inc:
        lines += [
            "",
            f"Started in this folder with `QUANT_CONFIG={QUANT_CONFIG}` before the command, "
            "neural-compressor makes FP8 of the weights at load.",
        ]
    return "\n".join(lines)


def _deepspeed(config: DecoderConfig, options: GaudiOptions) -> str:
    summed = _SUMMED.get(config.family)
    policy = f"    injection_policy={{{summed}}},\n" if summed else ""
    text = (
        "## DeepSpeed\n\n"
        "optimum-habana lists the weight files itself. For a launcher of your own, "
        "`checkpoints.json` is that list, with names relative to this folder:\n\n"
        "```python\n"
        "deepspeed.init_inference(\n"
        '    model, dtype=torch.bfloat16, checkpoint="checkpoints.json", base_dir=".",\n'
        f'    tensor_parallel={{"tp_size": {options.cards}}}, enable_cuda_graph=True,\n'
        f"{policy})\n"
        "```\n\n"
        "Every card reads all files and keeps its slices. Keep files that end in `.bin`, and "
        "folders with weights, out of this folder: optimum-habana would load them instead, or "
        "as well."
    )
    if config.family == "llama" and options.context(config) > DEEPSPEED_POSITIONS:
        text += (
            f" It also caps `max_position_embeddings` of Llama at {DEEPSPEED_POSITIONS} on this "
            f"path; this deployment has {options.context(config)} tokens."
        )
    return text


def _vllm(options: GaudiOptions, buckets: Buckets) -> str:
    flags = [
        "--dtype bfloat16",
        f"--block-size {BLOCK}",
        f"--max-model-len {buckets.longest}",
        f"--max-num-batched-tokens {max(buckets.longest, options.batch)}",
        f"--max-num-seqs {options.batch}",
        f"--tensor-parallel-size {options.cards}",
        "--no-enable-prefix-caching",
        "--no-enable-chunked-prefill",
    ]
    return "\n".join(
        [
            "## vLLM",
            "",
            f"In this folder. `{BUCKETS}` lists every shape that is captured; prefix caching "
            "and chunked prefill would need others. "
            + " ".join(_sentence(line) for line in buckets.lines()),
            "",
            _shell(f"set -a; . ./{ENVIRONMENT}; set +a\nvllm serve .", flags),
        ]
    )


def _environment(options: GaudiOptions) -> str:
    """Variables that vllm-gaudi and its bridge to PyTorch read."""
    settings = {
        "VLLM_BUCKETING_FROM_FILE": BUCKETS,
        # Otherwise the blocks of a step are counted up to the highest one in use, wherever the
        # allocator put it, and no bucket short of the whole cache would be sure to hold it.
        "VLLM_CONTIGUOUS_PA": "false",
        "PT_HPU_LAZY_MODE": "1",
    }
    if options.cards > 1:
        settings["PT_HPU_ENABLE_LAZY_COLLECTIVES"] = "true"
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _shell(command: str, flags: Sequence[str]) -> str:
    return "\n".join(["```bash", " \\\n    ".join([command, *flags]), "```"])
