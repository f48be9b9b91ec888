"""What optimum-habana finds in an artifact, by a second reading of its `get_checkpoint_files`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convert.checkpoint import open_checkpoint
from convert.preparation import open_source, prepare, resolve_encoding
from convert.recipe import Artifact
from targets.gaudi.target import GaudiTarget
from tests.support.runs import TINY_LLAMA


def checkpoint_files(folder: Path) -> list[str]:
    everything = sorted(folder.rglob("*"))
    if any(path.suffix == ".bin" for path in everything):
        begin, end = "pytorch_model", ".bin"
    elif any(path.suffix == ".safetensors" for path in everything):
        begin, end = "model", ".safetensors"
    else:
        begin, end = "", ".pt"
    return [
        path.relative_to(folder).as_posix()
        for path in everything
        if path.is_file() and path.name.startswith(begin) and path.name.endswith(end)
    ]


@pytest.mark.parametrize("shard_bytes", [1 << 40, 1 << 20], ids=["one", "several"])
def test_it_finds_the_weights_that_the_list_for_deepspeed_names(tmp_path, monkeypatch, shard_bytes):
    monkeypatch.setattr(GaudiTarget, "max_shard_bytes", shard_bytes)
    checkpoint = open_checkpoint(str(TINY_LLAMA))
    options = {"card": "gaudi2", "prompt_tokens": 16, "new_tokens": 16, "graphs": False}
    artifact = resolve_encoding(Artifact(format="gaudi", options=options))
    made = prepare(checkpoint, open_source(checkpoint), artifact, tokenizer=True, strict=False)
    for file in made.layout.files:
        path = tmp_path / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(data for _, data in file.segments))
    # The manifest and what the gate leaves are there, too, when it is loaded.
    (tmp_path / "manifest.json").write_text("{}")
    listed = json.loads((tmp_path / "checkpoints.json").read_text())
    assert checkpoint_files(tmp_path) == listed["checkpoints"]
    assert (len(listed["checkpoints"]) > 1) == (shard_bytes < 1 << 40)


def test_a_stray_file_would_be_found_instead(tmp_path):
    (tmp_path / "model.safetensors").touch()
    assert checkpoint_files(tmp_path) == ["model.safetensors"]
    (tmp_path / "training_args.bin").touch()
    assert checkpoint_files(tmp_path) == []
