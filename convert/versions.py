"""What is installed here, as far as it shapes an artifact or its check."""

from __future__ import annotations

import platform
from importlib import metadata

from convert.extensions import offering_packages

_PACKAGES = (
    "tricast", "torch", "transformers", "tokenizers", "numpy", "numba", "onnx-ir", "onnxruntime",
    "openvino", "openvino-tokenizers", "openvino-genai", "gguf", "llama-cpp-python",
)  # fmt: skip


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape an artifact or its check."""
    versions = {"python": platform.python_version()}
    for package in dict.fromkeys((*_PACKAGES, *offering_packages())):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
