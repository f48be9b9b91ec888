"""The findings as `convert list architectures` shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.architectures.findings import IMPORT, ONNX, OPENVINO, TRIAL, Finding
from convert.importing.tried import TriedType, TriedTypes

_TARGETS = {ONNX: "onnx", OPENVINO: "openvino"}
"""By stage, the target that it tries."""


def tried_types(findings: Sequence[Finding], versions: Mapping[str, str]) -> TriedTypes:
    """What is kept of findings in the package."""
    return TriedTypes(versions["transformers"], tuple(map(_tried, findings)))


def _tried(each: Finding) -> TriedType:
    why = each.reasons.get(IMPORT) or each.reasons.get(TRIAL) or "unknown"
    lacking = {
        target: each.reasons[stage] for stage, target in _TARGETS.items() if stage in each.reasons
    }
    return TriedType(each.kind, each.name, None if each.imported else why, lacking)
