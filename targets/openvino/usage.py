"""How an IR is run: OpenVINO GenAI, and transformers by way of optimum-intel."""

from __future__ import annotations

from collections.abc import Sequence

from targets.usage import UsageStep

_TOKENIZER = "openvino_tokenizer.xml"


def usage(files: Sequence[str], folder: str) -> tuple[UsageStep, ...]:
    """The pipelines want one model and its tokenizer; ranks are run by Tricast alone."""
    if "openvino_model.xml" not in files or _TOKENIZER not in files:
        return ()
    return (
        UsageStep(
            "With [OpenVINO GenAI](https://github.com/openvinotoolkit/openvino.genai):",
            "import openvino_genai\n\n"
            f'pipeline = openvino_genai.LLMPipeline({folder!r}, "CPU")\n'
            'print(pipeline.generate("The capital of France is", max_new_tokens=16))',
            "python",
        ),
        UsageStep(
            "With [optimum-intel](https://github.com/huggingface/optimum-intel), in place of a "
            "model of transformers (not run by us):",
            "from optimum.intel import OVModelForCausalLM\n"
            "from transformers import AutoTokenizer\n\n"
            f"model = OVModelForCausalLM.from_pretrained({folder!r})\n"
            f"tokenizer = AutoTokenizer.from_pretrained({folder!r})\n"
            'ids = tokenizer("The capital of France is", return_tensors="pt")\n'
            "print(tokenizer.decode(model.generate(**ids, max_new_tokens=16)[0]))",
            "python",
        ),
    )
