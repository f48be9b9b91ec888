"""Arrays are packed as the gguf package packs them."""

from __future__ import annotations

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.gguf.writer import VocabularyWriter

ARRAY = gguf.GGUFValueType.ARRAY
KINDS = gguf.GGUFValueType


def both(*given, **options):
    """What our writer packs, and what the package's does."""
    writers = (VocabularyWriter(None, "llama"), gguf.GGUFWriter(None, "llama"))
    return [writer._pack_val(*given, **options) for writer in writers]


@given(
    items=st.one_of(
        st.lists(st.text(), min_size=1),
        st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1),
        st.lists(st.floats(width=32), min_size=1),
        st.lists(st.booleans(), min_size=1),
        st.lists(st.binary(), min_size=1),
    ),
    kind=st.sampled_from([list, tuple]),
    add_type=st.booleans(),
)
def test_arrays_are_the_same_bytes(items, kind, add_type):
    ours, theirs = both(kind(items), ARRAY, add_type)
    assert ours == theirs


@pytest.mark.parametrize("items", [["a", "b"], (b"a", b""), (1, 2), [1.5]])
def test_a_vocabulary_is_not_packed_item_by_item(monkeypatch, items):
    def item_by_item(*_):
        raise AssertionError("slow")

    monkeypatch.setattr(gguf.GGUFWriter, "_pack_val", item_by_item)
    assert VocabularyWriter(None, "llama")._pack_val(items, ARRAY, True)


def test_floats_are_rounded_alike():
    ours, theirs = both([0.1, 1e-40, -1e10, 16777217.0], ARRAY, True)
    assert ours == theirs


def test_an_element_type_that_is_asked_for_is_kept():
    ours, theirs = both([1, 2, 3], ARRAY, True, sub_type=KINDS.UINT8)
    assert ours == theirs


@pytest.mark.parametrize("items", [[], ["a", 1], [1, 2.0]])
def test_what_the_package_refuses_is_refused(items):
    with pytest.raises(ValueError, match=r"GGUF (metadata )?array"):
        VocabularyWriter(None, "llama")._pack_val(items, ARRAY, True)


def test_a_big_endian_writer_is_left_alone():
    writers = [
        kind(None, "llama", endianess=gguf.GGUFEndian.BIG)
        for kind in (VocabularyWriter, gguf.GGUFWriter)
    ]
    ours, theirs = (writer._pack_val([1, 2], ARRAY, True) for writer in writers)
    assert ours == theirs
