"""An imatrix is read for the model that it is of, and what is written is read by others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from convert.errors import BrokenInputError, MissingFileError, UnsupportedError
from targets.gguf.imatrix import read_imatrix, write_imatrix
from tests.support.models import small_model

CONFIG = small_model("llama").config
Q, DOWN = "model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"
SUMS = {Q: np.arange(48.0), DOWN: np.ones(72)}
TOKENS = {Q: 4, DOWN: 2}


def write(path: Path, *, kind: str | None = "imatrix", **tensors: Any) -> Path:
    """A GGUF with arrays for tensors; two underscores stand for a point."""
    writer = gguf.GGUFWriter(path, "imatrix")
    if kind:
        writer.add_type(kind)
    for name, values in tensors.items():
        writer.add_tensor(name.replace("__", "."), np.array(values, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_sums_become_means_under_the_names_of_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    assert write_imatrix(path, SUMS, TOKENS, CONFIG, dataset="a text", chunk=2) == ()
    found = read_imatrix(path, CONFIG, [Q, DOWN, "lm_head.weight"])
    assert found.tokens == 4
    assert found.datasets == ("a text",)
    assert found.moments.keys() == {Q, DOWN}
    np.testing.assert_array_equal(found.moments[Q], np.arange(48, dtype=np.float32) / 4)


def test_the_gguf_package_reads_what_is_written(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        write_imatrix(tmp_path / name, SUMS, TOKENS, CONFIG, dataset="a text", chunk=2)
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    tensors = {tensor.name: np.asarray(tensor.data) for tensor in reader.tensors}
    assert tensors["blk.1.ffn_down.weight.counts"].tolist() == [[2.0]]
    assert tensors["blk.0.attn_q.weight.in_sum2"].shape == (1, 48)
    assert reader.get_field("imatrix.chunk_count").contents() == 2
    assert reader.get_field("imatrix.chunk_size").contents() == 2
    assert reader.get_field("general.type").contents() == "imatrix"


def test_each_expert_has_a_row_and_those_nobody_visited_are_left_out(tmp_path: Path) -> None:
    rows = [[2.0, 4.0], [0.0, 0.0]]
    path = write(
        tmp_path / "a.gguf",
        blk__0__ffn_down_exps__weight__in_sum2=rows,
        blk__0__ffn_down_exps__weight__counts=[[2.0], [0.0]],
    )
    names = [f"model.layers.0.mlp.experts.{expert}.down_proj.weight" for expert in range(3)]
    found = read_imatrix(path, CONFIG, names[:2])
    assert found.moments.keys() == {names[0]}
    assert found.moments[names[0]].tolist() == [1.0, 2.0]
    with pytest.raises(BrokenInputError, match="has 2 rows"):
        read_imatrix(path, CONFIG, names)


def test_what_is_no_imatrix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        read_imatrix(tmp_path / "none.gguf", CONFIG, [Q])
    old = tmp_path / "old.dat"
    old.write_bytes(b"\x01\0\0\0\x13\0\0\0blk.0.attn_q.weight")
    with pytest.raises(UnsupportedError, match="no imatrix in GGUF form") as caught:
        read_imatrix(old, CONFIG, [Q])
    assert caught.value.remedy is not None and "--in-file" in caught.value.remedy
    model = write(tmp_path / "model.gguf", kind="model", token_embd__weight=[[1.0]])
    with pytest.raises(UnsupportedError, match="no imatrix"):
        read_imatrix(model, CONFIG, [Q])


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"blk__9__attn_q__weight__in_sum2": [[1.0]]}, "another model"),
        ({"blk__0__attn_q__weight__in_sum2": [[1.0]]}, r"lacks blk\.0\.attn_q\.weight\.counts"),
        (
            {
                "blk__0__attn_q__weight__in_sum2": [[np.nan]],
                "blk__0__attn_q__weight__counts": [[1.0]],
            },
            "cannot be",
        ),
        (
            {
                "blk__0__attn_q__weight__in_sum2": [[-1.0]],
                "blk__0__attn_q__weight__counts": [[1.0]],
            },
            "cannot be",
        ),
    ],
)
def test_a_damaged_imatrix_or_that_of_another_model_is_refused(
    tensors: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.gguf", **tensors)
    with pytest.raises(BrokenInputError, match=message):
        read_imatrix(path, CONFIG, [Q])


def test_llama_cpp_writes_arrays_of_one_axis(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.gguf",
        blk__0__attn_q__weight__in_sum2=[2.0, 6.0],
        blk__0__attn_q__weight__counts=[2.0],
    )
    assert read_imatrix(path, CONFIG, [Q]).moments[Q].tolist() == [1.0, 3.0]
