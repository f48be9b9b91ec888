import pytest

from convert.publishing.contents import Item
from convert.publishing.file_slice import FileSlice


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_a_part_is_read_and_counted(tmp_path, kind):
    (tmp_path / "a").write_bytes(b"0123456789")
    source = b"0123456789" if kind == "bytes" else tmp_path / "a"
    counted = []
    with FileSlice(Item("a", 10, "", source), 2, 5, counted.append) as part:
        assert len(part) == 5
        assert part.read(2) == b"23"
        assert len(part) == 3
        part.rewind()
        assert part.read() == b"23456"
        assert part.read(1) == b""
    assert sum(counted) == 5


def test_what_was_read_in_vain_is_taken_back():
    counted = []
    with (
        pytest.raises(RuntimeError),
        FileSlice(Item.of_bytes("a", b"0123"), 0, 4, counted.append) as part,
    ):
        part.read(3)
        raise RuntimeError
    assert sum(counted) == 0
