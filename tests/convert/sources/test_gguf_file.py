from __future__ import annotations

import struct

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import (
    BadHeaderError,
    BrokenInputError,
    MissingFileError,
    TruncatedFileError,
    UnsupportedEncodingError,
    UnsupportedError,
)
from convert.sources.gguf_file import read_gguf
from tests.support.gguf_files import TinyGguf


def string(text: str | bytes) -> bytes:
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key: str, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def tensor(name: str, shape: list[int], kind: int = 0, offset: int = 0) -> bytes:
    axes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return string(name) + axes + struct.pack("<IQ", kind, offset)


def gguf_bytes(pairs=(), tensors=(), data=b"", magic=b"GGUF", version=3, counts=None) -> bytes:
    header = magic + struct.pack("<IQQ", version, *(counts or (len(tensors), len(pairs))))
    header += b"".join(pairs) + b"".join(tensors)
    return header + bytes(-len(header) % 32) + data


def read(tmp_path, *args, **options):
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf_bytes(*args, **options))
    return read_gguf(path)


def test_the_header_is_what_the_gguf_package_reads(tmp_path):
    tiny = TinyGguf(metadata={"a.flag": True, "a.list": [1, 2, 3], "a.text": "é"})
    path = tiny.write(tmp_path / "tiny.gguf")
    ours, theirs = read_gguf(path), gguf.GGUFReader(path)
    for key, value in theirs.fields.items():
        if key.startswith("GGUF."):
            continue
        found, expected = ours.metadata[key], value.contents()
        if isinstance(expected, float):
            assert np.float32(found) == np.float32(expected)
        else:
            assert (found.tolist() if isinstance(found, np.ndarray) else found) == expected
    assert len(ours.metadata) == len(theirs.fields) - 3
    for item in theirs.tensors:
        mine = ours.tensors[item.name]
        assert mine.shape == tuple(item.shape.tolist()[::-1])
        assert (mine.type, mine.offset) == (item.tensor_type.name, item.data_offset)
        assert mine.nbytes == item.n_bytes


@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16, Kind.BF16, Kind.Q4_0, Kind.Q4_1, Kind.Q8_0])
def test_rows_are_dequantized_as_by_the_gguf_package(tmp_path, kind):
    values = np.random.default_rng(0).normal(size=(10, 64)).astype("f4")
    stored = gguf.quants.quantize(values, kind)
    file = read(tmp_path, [], [tensor("w", [64, 10], kind.value)], stored.tobytes())
    expected = gguf.quants.dequantize(stored, kind).reshape(10, 64)
    np.testing.assert_array_equal(file.read_rows(file.tensors["w"], 3, 8), expected[3:8])


def test_a_quantized_vector_is_read_by_element(tmp_path):
    values = np.linspace(-1, 1, 64, dtype="f4")
    stored = gguf.quants.quantize(values, Kind.Q8_0)
    file = read(tmp_path, [], [tensor("v", [64], Kind.Q8_0.value)], stored.tobytes())
    expected = gguf.quants.dequantize(stored, Kind.Q8_0)[5:9].reshape(4, 1)
    np.testing.assert_array_equal(file.read_rows(file.tensors["v"], 5, 9), expected)


def test_floats_are_the_shortest_decimal(tmp_path):
    file = read(tmp_path, [pair("eps", 6, struct.pack("<f", 1e-5))])
    assert file.metadata["eps"] == 1e-5


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"magic": b"GGML"}, BadHeaderError),
        ({"version": 1}, UnsupportedError),
        ({"version": 0x03000000}, UnsupportedError),
        ({"counts": (0, 1)}, TruncatedFileError),
        ({"counts": (1 << 60, 0)}, TruncatedFileError),
        ({"pairs": [pair("a", 4, b"\1\0\0\0")] * 2}, BadHeaderError),
        ({"pairs": [pair("a", 99, b"")]}, BadHeaderError),
        ({"pairs": [string(b"\xff\xff") + b"\4\0\0\0" + bytes(4)]}, BadHeaderError),
        ({"pairs": [pair("a", 8, struct.pack("<Q", 1 << 60))]}, TruncatedFileError),
        ({"pairs": [pair("a", 9, struct.pack("<IQ", 8, 1 << 60))]}, TruncatedFileError),
        ({"pairs": [pair("a", 9, struct.pack("<IQ", 4, 1 << 60))]}, TruncatedFileError),
        ({"pairs": [pair("a", 9, struct.pack("<IQ", 9, 1))]}, BadHeaderError),
        ({"pairs": [pair("general.alignment", 4, struct.pack("<I", 24))]}, BadHeaderError),
        ({"pairs": [pair("general.alignment", 8, string("x"))]}, BadHeaderError),
        ({"tensors": [tensor("t", [])]}, BadHeaderError),
        ({"tensors": [tensor("t", [1] * 5)], "data": bytes(4)}, BadHeaderError),
        ({"tensors": [tensor("t", [0, 4])]}, BadHeaderError),
        ({"tensors": [tensor("t", [4], 999)], "data": bytes(16)}, UnsupportedEncodingError),
        ({"tensors": [tensor("t", [33], 8)], "data": bytes(99)}, BadHeaderError),
        ({"tensors": [tensor("t", [8], 0, 4)], "data": bytes(99)}, BadHeaderError),
        ({"tensors": [tensor("t", [8])], "data": bytes(31)}, TruncatedFileError),
        ({"tensors": [tensor("t", [1 << 62, 1 << 62])]}, TruncatedFileError),
        ({"tensors": [tensor("t", [8])] * 2, "data": bytes(32)}, BadHeaderError),
        ({"tensors": [tensor("t", [9]), tensor("u", [8], 0, 32)], "data": bytes(64)},
         BadHeaderError),
    ],
)  # fmt: skip
def test_a_header_that_is_wrong_is_refused_by_name(tmp_path, options, error):
    with pytest.raises(error, match=r"x\.gguf"):
        read(tmp_path, **options)


@pytest.mark.parametrize("data", [b"", b"GG", b"GGUF", b"GGUF\3\0\0\0"])
def test_a_file_of_a_few_bytes(tmp_path, data):
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    with pytest.raises(TruncatedFileError if data.startswith(b"GGUF") else BadHeaderError):
        read_gguf(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError):
        read_gguf(tmp_path / "no.gguf")


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_file_with_one_changed_byte_reads_or_is_refused_by_name(tmp_path_factory, data):
    pairs = [pair("a", 9, struct.pack("<IQ", 8, 2) + string("x") + string("y"))]
    whole = bytearray(gguf_bytes(pairs, [tensor("t", [32, 2], 8)], bytes(68)))
    whole[data.draw(st.integers(0, 103))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("flip") / "x.gguf"
    path.write_bytes(whole)
    try:
        file = read_gguf(path)
    except (BrokenInputError, UnsupportedError):
        return
    assert all(item.offset + item.nbytes <= len(whole) for item in file.tensors.values())


def test_a_type_that_the_gguf_package_cannot_decode(tmp_path):
    kind = Kind.Q8_K
    size = gguf.GGML_QUANT_SIZES[kind][1]
    file = read(tmp_path, [], [tensor("w", [256, 1], kind.value)], bytes(size))
    with pytest.raises(UnsupportedEncodingError, match="Q8_K"):
        file.read_rows(file.tensors["w"], 0, 1)


def test_a_file_that_shrinks_after_it_was_opened(tmp_path):
    file = read(tmp_path, [], [tensor("w", [4, 4])], bytes(64))
    file.path.write_bytes(file.path.read_bytes()[:-1])
    with pytest.raises(TruncatedFileError):
        file.read_rows(file.tensors["w"], 0, 4)


def test_metadata_of_the_wrong_type_is_refused_by_key(tmp_path):
    pairs = [pair("a", 8, string("x")), pair("n", 4, struct.pack("<I", 3)), pair("b", 7, b"\1")]
    file = read(tmp_path, pairs)
    assert file.value("a", str) == "x"
    assert file.value("n", float) == 3.0
    assert file.value("missing", int, 7) == 7
    for key, kind in (("a", int), ("b", int), ("n", str), ("a", list)):
        with pytest.raises(BadHeaderError, match=f"key {key}"):
            file.value(key, kind)
    with pytest.raises(BadHeaderError):
        file.strings("a")
    with pytest.raises(BadHeaderError):
        file.numbers("a")
    assert (file.strings("missing"), file.numbers("missing")) == ([], [])
