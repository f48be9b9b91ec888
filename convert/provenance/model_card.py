"""The model card of a CycloneDX bill of materials: how it is stored, and what the gate measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from convert.gate_figures import gate_figures
from convert.manifest import Manifest

_SLICES = {
    "overall": "all positions of the gate's prompts",
    "decoded": "tokens decoded one by one",
    "faithful": "against the original with the artifact's own stored weights",
}


def model_card(manifest: Manifest) -> dict[str, Any]:
    """CycloneDX's ``modelCard`` for an artifact."""
    parameters: dict[str, Any] = {"task": "text-generation"}
    if manifest.source.architecture is not None:
        parameters["modelArchitecture"] = manifest.source.architecture
    limits = list(manifest.notes)
    if manifest.gate.status != "passed":
        limits.insert(0, "The gate was skipped: the artifact was not compared with its original.")
    return {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(manifest))},
        **({"considerations": {"technicalLimitations": limits}} if limits else {}),
        "properties": [{"name": name, "value": value} for name, value in _properties(manifest)],
    }


def _metrics(manifest: Manifest) -> Iterator[Mapping[str, str]]:
    for name, value in gate_figures(manifest.gate).items():
        part, dot, figure = name.partition(".")
        metric = {"type": figure if dot else name, "value": _text(value)}
        yield {**metric, "slice": _SLICES.get(part, part)} if dot else metric


def _properties(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "tricast:target", manifest.target
    yield "tricast:gate", manifest.gate.status
    for key in ("encoding", "method"):
        value = getattr(manifest.recipe, key)
        if value is not None:
            yield f"tricast:{key}", str(value)
    sums: dict[str, tuple[int, int]] = {}
    for tensor in manifest.tensors:
        count, nbytes = sums.get(tensor.encoding, (0, 0))
        sums[tensor.encoding] = (count + 1, nbytes + tensor.bytes)
    for encoding, (count, nbytes) in sorted(sums.items()):
        yield f"tricast:tensors:{encoding}", str(count)
        yield f"tricast:bytes:{encoding}", str(nbytes)


def _text(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
