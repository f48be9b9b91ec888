"""The findings of all types, kept in a file while they are made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from bench.architectures.findings import Finding

_PACKAGES = ("transformers", "torch", "onnxruntime", "openvino")


def versions() -> dict[str, str]:
    """Of the packages that findings depend on."""
    return {name: version(name) for name in _PACKAGES}


def read(path: Path) -> dict[str, Finding]:
    """The findings of a file, by type; none where there is no file, or other packages made it."""
    if not path.is_file():
        return {}
    kept = json.loads(path.read_text())
    if kept["versions"] != versions():
        return {}
    return {each["kind"]: Finding.from_json(each) for each in kept["types"]}


def write(path: Path, findings: Mapping[str, Finding]) -> None:
    """Replace the file."""
    types = [each.as_json() for each in by_name(findings.values())]
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps({"versions": versions(), "types": types}, indent=1) + "\n")
    new.rename(path)


def by_name(findings: Iterable[Finding]) -> list[Finding]:
    """In the order of the types' names."""
    return sorted(findings, key=lambda each: each.kind)
