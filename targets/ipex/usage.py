"""How a checkpoint for PyTorch on Xeon is run: transformers, vLLM on the CPU, sglang."""

from __future__ import annotations

from collections.abc import Sequence

from targets.usage import UsageStep


def usage(files: Sequence[str], folder: str) -> tuple[UsageStep, ...]:
    """One folder for all of them."""
    return (
        UsageStep(
            "With [transformers](https://github.com/huggingface/transformers) (`int4_sym` needs "
            "GPTQModel beside it, `w8a8` compressed-tensors):",
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            f"model = AutoModelForCausalLM.from_pretrained({folder!r})\n"
            f"tokenizer = AutoTokenizer.from_pretrained({folder!r})\n"
            'ids = tokenizer("The capital of France is", return_tensors="pt")\n'
            "print(tokenizer.decode(model.generate(**ids, max_new_tokens=16)[0]))",
            "python",
        ),
        UsageStep(
            "With [vLLM](https://docs.vllm.ai) built for the CPU (not run by us):",
            f"vllm serve {folder}",
        ),
    )
