"""The header is padded to the alignment, and so are the tensors after it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from targets.gguf.families import FAMILIES
from targets.gguf.header import (
    ALIGNMENT,
    add_tensor_infos,
    data_offsets,
    header_bytes,
    new_writer,
    padded,
)
from targets.gguf.tensors import stored_tensors
from tests.support.models import small_model


@given(st.integers(0, 10**12))
def test_padding_is_the_next_multiple(size: int) -> None:
    assert padded(size) % ALIGNMENT == 0
    assert 0 <= padded(size) - size < ALIGNMENT


def test_offsets_leave_room_for_every_tensor() -> None:
    model = small_model("llama")
    tensors = stored_tensors(model.graph(), model.config, FAMILIES["llama"])
    writer = new_writer("llama")
    add_tensor_infos(writer, tensors)
    header = header_bytes(writer)
    assert header[:4] == b"GGUF"
    offsets = data_offsets(len(header), tensors)
    assert offsets[0] == len(header) == padded(len(header))
    room = [end - start for start, end in pairwise(offsets)]
    assert room == [padded(tensor.nbytes) for tensor in tensors]
