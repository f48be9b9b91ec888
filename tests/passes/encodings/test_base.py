"""Sizes of planes, and what an encoding gets from the base class."""

import numpy as np
import pytest

from passes.encodings.base import Encoding, Plane


class HalfBytes(Encoding):
    """Stores nothing but the signs, to try the base class."""

    name = "signs"

    def planes(self, columns):
        return (Plane("codes", "u4", (columns,)), Plane("scales", "f16", (1,)))

    def encode(self, rows):
        return tuple(
            np.full(plane.nbytes(len(rows)), 7, np.uint8) for plane in self.planes(rows.shape[1])
        )

    reference = encode

    def decode(self, planes, rows, columns):
        return np.zeros((rows, columns), np.float32)


@pytest.mark.parametrize(
    ("dtype", "row_shape", "rows", "expected"),
    [("u4", (3, 1), 8, 12), ("i4", (5,), 1, 3), ("f16", (2,), 3, 12), ("u8", (34,), 2, 68)],
)
def test_a_plane_is_packed_without_gaps(dtype, row_shape, rows, expected):
    assert Plane("codes", dtype, row_shape).nbytes(rows) == expected


@pytest.mark.parametrize(("rows", "expected"), [(1, 8), (4, 8), (5, 16), (8, 16), (17, 40)])
def test_rows_that_share_elements_store_them_once(rows, expected):
    assert Plane("super_scales", "f32", (2,), shared_rows=4).nbytes(rows) == expected


def test_an_encoding_allocates_sums_and_fills_its_planes():
    planes = HalfBytes().empty_planes(3, 5)
    assert [plane.size for plane in planes] == [8, 6]
    assert HalfBytes().nbytes(3, 5) == 14
    HalfBytes().encode_into(np.zeros((3, 5), np.float32), planes)
    assert all((plane == 7).all() for plane in planes)


def test_an_encoding_fits_every_row_and_is_its_own_family_unless_it_says_otherwise():
    assert HalfBytes().fit(7).name == "signs"
    assert HalfBytes().family == "signs"
