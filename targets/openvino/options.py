"""The target's own settings, written into the IR as runtime options of the CPU plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convert.errors import UsageError
from targets.option_names import refuse_unknown

CACHE_BYTES = {"u8": 1, "f16": 2, "bf16": 2, "f32": 4}
KV_CACHE_PRECISIONS = tuple(CACHE_BYTES)

SMALLEST_GROUP, LARGEST_GROUP = 32, 128
"""Groups of activations that the target itself chooses. Larger ones are faster and round more:
docs/xeon.md has the figures."""


@dataclass(frozen=True)
class Options:
    """How the runtime shall hold its cache and multiply by compressed weights.

    Args:
        kv_cache_precision: Element type of the KV cache; None for the default, 8 bits beside
            compressed weights and float16 beside float ones.
        dynamic_quantization_group_size: Activations that meet a compressed weight are rounded to
            8 bits in groups of this many; 0 leaves them as they are; None for the weights' own
            groups, up to 128 (larger than those, the runtime takes none at all), and for 32 beside
            weights of one scale a row.
    """

    kv_cache_precision: str | None = None
    dynamic_quantization_group_size: int | None = None

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Options:
        """Check the settings of a recipe.

        Raises:
            UsageError: A setting is unknown or has a value it cannot have.
        """
        refuse_unknown("openvino", given, cls.__dataclass_fields__)
        options = cls(**given)
        if options.kv_cache_precision not in (None, *KV_CACHE_PRECISIONS):
            raise UsageError(
                "kv_cache_precision is not one that the runtime has",
                expected=f"one of {', '.join(KV_CACHE_PRECISIONS)}",
                found=repr(options.kv_cache_precision),
            )
        size = options.dynamic_quantization_group_size
        if size is not None and (type(size) is not int or size < 0 or size % SMALLEST_GROUP):
            raise UsageError(
                "dynamic_quantization_group_size is not a number of activations",
                expected="0 or a multiple of 32",
                found=repr(size),
            )
        return options

    def runtime(self, *, compressed: bool, weight_group: int | None = None) -> dict[str, str]:
        """The settings under the names that the CPU plugin reads from an IR.

        Args:
            compressed: Whether any weight is stored as integers.
            weight_group: The smallest group of integers that have a scale; None if a scale is for
                a row, or there are no integers.
        """
        size = self.dynamic_quantization_group_size
        if size is None:
            size = min(weight_group or SMALLEST_GROUP, LARGEST_GROUP)
        return {
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(size),
            "KV_CACHE_PRECISION": self.kv_cache_precision or ("u8" if compressed else "f16"),
        }
