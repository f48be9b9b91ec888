"""ort_kit: an ONNX artifact with a program that runs it."""

from __future__ import annotations

from dataclasses import replace

from targets.base import Layout, LayoutRequest, OutputFile
from targets.onnx.target import OnnxTarget

PROGRAM = b"""\
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
print([(value.name, value.shape) for value in session.get_inputs()])
"""


class OrtKit(OnnxTarget):
    """All that the built-in target does, and a file more."""

    name = "ort_kit"
    summary = "ONNX graph and a program that opens it"
    encodings = ("f32", "bf16", "int8", "int8_p2")
    default_encoding = "int8_p2"

    def lay_out(self, request: LayoutRequest) -> Layout:
        made = super().lay_out(request)
        return replace(made, files=(*made.files, OutputFile.whole("open.py", PROGRAM)))
