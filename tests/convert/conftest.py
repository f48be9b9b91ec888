"""One gated conversion of the small trained model that many tests look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

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
def converted(tmp_path_factory, worker_id) -> Converted:
    """Made once for all processes that tests run in."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    out, folders = shared / "converted", shared / "converted.json"
    with FileLock(shared / "converted.lock"):
        if not folders.is_file():
            folders.write_text(json.dumps([str(folder) for folder in _convert(out)]))
    made = map(Path, json.loads(folders.read_text()))
    return Converted(out, {folder.name: folder for folder in made})


def _convert(out: Path) -> list[Path]:
    with pytest.MonkeyPatch.context() as patch:
        record_here(patch)
        patch.setattr("convert.reporting.page._drawings", lambda *_: {})  # charts take seconds
        to = ("gguf:q8_0", "openvino:int8", "gaudi:bf16", "onnx:f32")
        return convert_tiny(out, *to, report=True)
