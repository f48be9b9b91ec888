"""A checkpoint of codes is refused by its config."""

from __future__ import annotations

import pytest

from convert.errors import UnsupportedConfigError
from convert.quantized_already import require_unquantized


@pytest.mark.parametrize(
    ("said", "method"),
    [
        ({"quantization_config": {"quant_method": "fp8"}}, "fp8"),
        ({"compression_config": "sparse"}, "sparse"),
    ],
)
def test_the_method_is_named(said, method):
    with pytest.raises(
        UnsupportedConfigError, match=f"a model is quantized already(.|\n)*{method}"
    ):
        require_unquantized(said, "a model")


def test_an_empty_section_says_nothing():
    require_unquantized({"quantization_config": None, "compression_config": {}}, "a model")
