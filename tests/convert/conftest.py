"""One gated conversion of the small trained model that many tests look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.recorders import record_here
from tests.support.runs import convert_tiny


@dataclass(frozen=True)
class Converted:
    """A finished run: where it wrote, its artifacts by name, its recording."""

    out: Path
    artifacts: dict[str, Path]

    @property
    def golden(self) -> Path:
        (path,) = self.out.glob("golden-*.safetensors")
        return path


@pytest.fixture
def recording_here(monkeypatch):
    record_here(monkeypatch)


@pytest.fixture(scope="session")
def converted(tmp_path_factory) -> Converted:
    out = tmp_path_factory.mktemp("converted")
    with pytest.MonkeyPatch.context() as patch:
        record_here(patch)
        folders = convert_tiny(out, "gguf:q8_0", "openvino:int8", "gaudi:bf16", "onnx:f32")
    return Converted(out, {folder.name: folder for folder in folders})
