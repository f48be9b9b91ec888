"""Builds products.c with ggml's kernels for Arm, on a machine of another kind: `make test-arm`.

    python -m tests.arm.build

ggml's sources come with the source distribution of llama-cpp-python, of the version that is
installed. Compiler and emulator are Debian's.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
BUILT = FOLDER.parent.parent / "build" / "arm"
PROGRAM = BUILT / "products"
EMULATOR = "qemu-aarch64-static"
MACHINE = "armv8.6-a+dotprod+i8mm+sve"
"""What a Neoverse V1 or V2 has, as far as ggml's kernels go."""

_TOOLS = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
    "cmake": "cmake",
    EMULATOR: "qemu-user-static",
}
"""Debian's package of each."""

_SOURCE = "llama_cpp_python"
_GGML = "/vendor/llama.cpp/ggml/"
_LEFT_OUT = ("ggml-cuda", "ggml-sycl", "ggml-vulkan", "ggml-metal", "ggml-opencl", "ggml-hexagon")


def missing() -> str | None:
    """What keeps the program from being built and run, and the remedy; None if nothing does."""
    packages = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if packages:
        return f"no cross compiler or emulator: apt-get install {' '.join(packages)}"
    return None


def build() -> None:
    """Make `PROGRAM`, if it is not there for this version of llama-cpp-python."""
    version = metadata.version(_SOURCE)
    stamp = BUILT / "version"
    if PROGRAM.is_file() and stamp.is_file() and stamp.read_text() == version + MACHINE:
        return
    ggml = BUILT / f"ggml-{version}"
    if not (ggml / "CMakeLists.txt").is_file():
        _fetch(version, ggml)
    work = BUILT / "work"
    _run("cmake", "-S", FOLDER, "-B", work, f"-DGGML={ggml}", f"-DARCH={MACHINE}")
    _run("cmake", "--build", work, "--target", "products", "--parallel")
    shutil.copy2(work / "products", PROGRAM)
    stamp.write_text(version + MACHINE)


def _fetch(version: str, ggml: Path) -> None:
    """Unpack ggml's sources of a version into a folder."""
    ggml.parent.mkdir(parents=True, exist_ok=True)
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:")
    with tempfile.TemporaryDirectory(dir=ggml.parent) as folder:
        _run(*pip, "--dest", folder, f"{_SOURCE}=={version}")
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            parts = [part for part in packed if _is_wanted(part.name)]
            packed.extractall(folder, parts, filter="data")
        (found,) = Path(folder).glob(f"*{_GGML}")
        found.rename(ggml)


def _is_wanted(name: str) -> bool:
    return _GGML in name and not any(f"/{part}/" in name for part in _LEFT_OUT)


def _run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    reason = missing()
    if reason:
        sys.exit(reason)
    build()
