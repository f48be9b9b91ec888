"""Counts what the CPU plugin made of a model: the layers of the compiled runtime model."""

from __future__ import annotations

from collections import Counter
from typing import Any


def layer_types(compiled: Any) -> Counter[str]:
    """Number of layers of each ``layerType``."""
    nodes = compiled.get_runtime_model().get_ordered_ops()
    return Counter(node.get_rt_info()["layerType"].astype(str) for node in nodes)


def product_count(compiled: Any) -> int:
    """Matrix products, where a fused MLP (on machines with AMX) counts as its three."""
    types = layer_types(compiled)
    return types["FullyConnected"] + 3 * (types["LLMMLP"] + types["QKVProjection"])


def weight_types(compiled: Any) -> Counter[str]:
    """Element types of the weights that FullyConnected layers read."""
    nodes = compiled.get_runtime_model().get_ordered_ops()
    return Counter(
        node.input_value(1).get_element_type().to_string()
        for node in nodes
        if node.get_rt_info()["layerType"].astype(str) == "FullyConnected"
    )
