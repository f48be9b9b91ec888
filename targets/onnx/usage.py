"""How an ONNX artifact is run: onnxruntime, and transformers by way of optimum."""

from __future__ import annotations

from collections.abc import Sequence

from targets.onnx.file_names import MODEL_FILE
from targets.usage import UsageStep


def usage(files: Sequence[str], folder: str) -> tuple[UsageStep, ...]:
    """Inputs and outputs have optimum's names."""
    return (
        UsageStep(
            "With [onnxruntime](https://onnxruntime.ai); inputs and outputs are named as optimum "
            "names them (`input_ids`, `attention_mask`, `position_ids`, `past_key_values.N.key`):",
            "import onnxruntime\n\n"
            f"session = onnxruntime.InferenceSession({f'{folder}/{MODEL_FILE}'!r})\n"
            "print([value.name for value in session.get_inputs()])",
            "python",
        ),
    )
