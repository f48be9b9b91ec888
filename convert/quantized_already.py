"""Whether a checkpoint's weights are codes of another quantization, by its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.errors import UnsupportedConfigError

_KEYS = ("quantization_config", "compression_config")


def require_unquantized(config: Mapping[str, Any], label: str) -> None:
    """Refuse a checkpoint whose weights are quantized.

    Args:
        config: config.json as it is.
        label: What to call the checkpoint.

    Raises:
        UnsupportedConfigError: They are; it names the key and the method.
    """
    for key in _KEYS:
        value = config.get(key)
        if value:
            method = value.get("quant_method") if isinstance(value, Mapping) else value
            raise UnsupportedConfigError(
                f"{label} is quantized already",
                expected="weights in F32, F16 or BF16",
                found=f"{key} of method {method!r} in config.json",
                remedy="convert from the original, unquantized checkpoint",
            )
