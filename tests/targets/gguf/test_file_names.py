"""The first file of an artifact is found whether it is split or not."""

from __future__ import annotations

from pathlib import Path

from targets.gguf.file_names import FILE, first_file


def test_llama_cpp_is_given_the_first_file(tmp_path: Path) -> None:
    assert first_file(tmp_path) == tmp_path / FILE
    for name in ("model-00002-of-00002.gguf", "model-00001-of-00002.gguf"):
        (tmp_path / name).touch()
    assert first_file(tmp_path).name == "model-00001-of-00002.gguf"
