"""A GGUF says what its tensors are in the checkpoint; one of others says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from convert.sources.gguf_file import read_gguf
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.gguf.header import add_tensor_infos, header_bytes, new_writer
from targets.gguf.imported.origins import Piece, add_origins, add_pieces, origins, pieces_of
from targets.gguf.tensors import StoredTensor


def told(path: Path, tensors: list[StoredTensor], names: dict[str, str]) -> dict[str, Any]:
    writer = new_writer("llama")
    if names:
        add_origins(writer, tensors, names)
    add_tensor_infos(writer, tensors)
    path.write_bytes(header_bytes(writer) + bytes(4096))
    return origins(read_gguf(path))


def tensor(name: str, order: list[int] | None = None) -> StoredTensor:
    rows = None if order is None else np.array(order, np.int64)
    return StoredTensor(name, ArrayWeight(name, np.zeros(4, np.float32)), encoding("f32"), rows)


def test_names_and_orders_come_back(tmp_path: Path) -> None:
    turned = [1, 0, 3, 2]
    tensors = [tensor("a.weight", turned), tensor("b.weight"), tensor("c.weight", turned)]
    names = {"a.weight": "first", "b.weight": "second", "c.weight": "third"}
    found = told(tmp_path / "x.gguf", [*tensors, tensor("zeros.bias")], names)
    assert {stored: name for stored, (name, _) in found.items()} == names
    assert found["b.weight"][1] is None
    assert all(found[name][1].tolist() == turned for name in ("a.weight", "c.weight"))
    assert told(tmp_path / "y.gguf", tensors, {}) == {}


def test_pieces_come_back(tmp_path: Path) -> None:
    pieces = [Piece("k", "kv.weight", 0, 1, 24, turned=True), Piece("g", "experts.{}.gate", 1, 2)]
    writer = new_writer("llama")
    add_pieces(writer, pieces)
    (tmp_path / "x.gguf").write_bytes(header_bytes(writer) + bytes(4096))
    assert pieces_of(read_gguf(tmp_path / "x.gguf")) == pieces
    assert pieces[0].rows(2, 3).tolist() == [48, 49, 50]
    assert pieces[1].rows(2, 3).tolist() == [1, 3, 5]
