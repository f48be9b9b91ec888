"""How a checkpoint for Gaudi is run; its own guide has the commands with all their settings."""

from __future__ import annotations

from collections.abc import Sequence

from targets.gaudi.deployment import ENVIRONMENT, GUIDE
from targets.usage import UsageStep


def usage(files: Sequence[str], folder: str) -> tuple[UsageStep, ...]:
    """Unverified on a card, as the guide says, too."""
    steps = []
    if GUIDE in files:
        steps.append(
            UsageStep(
                f"`{GUIDE}` has the memory of each card, and commands with every setting for "
                "optimum-habana, DeepSpeed and vLLM. No Gaudi was at hand when this was made: "
                "they are unverified on one.",
                f"cat {folder}/{GUIDE}",
            )
        )
    steps.append(
        UsageStep(
            "With [optimum-habana](https://github.com/huggingface/optimum-habana), from its "
            "`examples/text-generation`:",
            f"python run_generation.py --model_name_or_path {folder} --bf16 --use_hpu_graphs "
            '--use_kv_cache --max_new_tokens 100 --prompt "DeepSpeed is"',
        )
    )
    if ENVIRONMENT in files:
        steps.append(
            UsageStep(
                "With vLLM on Gaudi (buckets and environment are in the artifact):",
                f"set -a; . {folder}/{ENVIRONMENT}; set +a\nvllm serve {folder}",
            )
        )
    return tuple(steps)
