"""What differs between two GGUF files of one model: tensors and metadata.

    python bench/compare_gguf.py OURS.gguf THEIRS.gguf
    python bench/compare_gguf.py OURS.gguf --checkpoint DIR --converter convert_hf_to_gguf.py

With ``--converter`` llama.cpp's own script makes the second file from the checkpoint, with the
type that most of the weights of ours have. It knows pre-tokenizers by hashes of ids that published
tokenizers give; ``--pre`` names that of another one. Exits 1 if tensors differ.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

_OUT_TYPES = {0: "f32", 1: "f16", 7: "q8_0", 32: "bf16"}
_SHOWN = 70
_NAMED_PRE_TOKENIZER = """
import pathlib, runpy, sys
pre, script = sys.argv.pop(1), sys.argv.pop(1)
folder = pathlib.Path(script).parent
sys.path[:0] = [str(folder / "gguf-py"), str(folder)]
from conversion.base import TextModel
TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
runpy.run_path(script, run_name="__main__")
"""


def main() -> None:
    """Compare as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("ours", type=Path)
    parser.add_argument("theirs", type=Path, nargs="?")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--converter", type=Path)
    parser.add_argument("--pre")
    options = parser.parse_args()
    ours = gguf.GGUFReader(options.ours)
    with tempfile.TemporaryDirectory() as folder:
        theirs_path = options.theirs
        if theirs_path is None:
            theirs_path = Path(folder) / "theirs.gguf"
            named = ("-c", _NAMED_PRE_TOKENIZER, options.pre) if options.pre else ()
            script = (*named, options.converter)
            _convert(script, options.checkpoint, theirs_path, _file_type(ours))
        theirs = gguf.GGUFReader(theirs_path)
        tensors = list(tensor_differences(ours, theirs))
        metadata = list(metadata_differences(ours, theirs))
    sys.stdout.write(f"{len(ours.tensors)} tensors, {len(ours.fields)} keys\n")
    _print(f"{len(tensors)} tensors differ", ("tensor", "ours", "theirs"), tensors)
    _print(f"{len(metadata)} keys differ", ("key", "ours", "theirs"), metadata)
    sys.exit(bool(tensors))


def tensor_differences(ours: Any, theirs: Any) -> Iterator[tuple[str, str, str]]:
    """Name and both descriptions of each tensor whose type, shape or bytes differ."""
    left = {tensor.name: tensor for tensor in ours.tensors}
    right = {tensor.name: tensor for tensor in theirs.tensors}
    for name in sorted(left | right):
        one, other = left.get(name), right.get(name)
        described = _tensor(one), _tensor(other)
        if described[0] != described[1]:
            yield name, *described
        elif one and other and one.data.tobytes() != other.data.tobytes():
            apart = np.count_nonzero(_bytes(one) != _bytes(other)) / one.n_bytes
            yield name, "same type and shape", f"{apart:.3%} of the bytes differ"


def metadata_differences(ours: Any, theirs: Any) -> Iterator[tuple[str, str, str]]:
    """Key and both values of each key whose value or type differs."""
    for key in sorted(set(ours.fields) | set(theirs.fields)):
        if key.startswith("GGUF."):
            continue
        one, other = ours.fields.get(key), theirs.fields.get(key)
        same = one and other and one.types == other.types and one.contents() == other.contents()
        if not same:
            yield key, _value(one), _value(other)


def _convert(script: Sequence[str | Path], checkpoint: Path, out: Path, kind: str) -> None:
    command = [sys.executable, *script, checkpoint, "--outfile", out, "--outtype", kind]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"llama.cpp's converter failed:\n{run.stderr[-2000:]}")


def _file_type(reader: Any) -> str:
    kind = int(reader.get_field("general.file_type").contents())
    if kind not in _OUT_TYPES:
        sys.exit(f"llama.cpp's converter does not write file type {kind}; give a second file")
    return _OUT_TYPES[kind]


def _tensor(tensor: Any) -> str:
    if tensor is None:
        return "-"
    return f"{tensor.tensor_type.name} {[int(size) for size in tensor.shape]}"


def _bytes(tensor: Any) -> Any:
    return np.frombuffer(tensor.data.tobytes(), np.uint8)


def _value(field: Any) -> str:
    if field is None:
        return "-"
    value = field.contents()
    if isinstance(value, list):
        return f"{len(value)} of {field.types[-1].name}: {str(value)[: _SHOWN - 20]}"
    return f"{field.types[0].name} {value!r}"[:_SHOWN]


def _print(title: str, header: tuple[str, ...], rows: list[tuple[str, str, str]]) -> None:
    sys.stdout.write(f"\n{title}\n")
    if rows:
        for row in (header, *rows):
            sys.stdout.write("| " + " | ".join(row) + " |\n")


if __name__ == "__main__":
    main()
