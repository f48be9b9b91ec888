"""Codes in files: whole or not at all, and copied to where a layout has their weights."""

import numpy as np
import pytest

from convert.errors import UnsupportedError
from convert.kept_codes import KeptCodes
from convert.stream import write_layouts
from convert.weights import ArrayWeight, RowRange, RowRanges
from passes.encodings import encoding
from targets.base import Layout, OutputFile, Placement, WriteJob

STORED = encoding("int4_g17")
ROWS, COLUMNS = 24, 51


@pytest.fixture
def weight():
    random = np.random.default_rng(0)
    return ArrayWeight("a.weight", random.standard_normal((ROWS, COLUMNS)).astype(np.float32))


def kept(folder, weight):
    """Codes that encoding the weight would not give, and their planes."""
    codes = KeptCodes(folder, {weight.name: STORED}, {weight.name: weight})
    planes = STORED.encode(2 * weight.array[::-1])
    for start, stop in ((0, 8), (8, ROWS)):
        assert not codes.is_complete
        part = STORED.encode(2 * weight.array[::-1][start:stop])
        codes.keep(weight.name, start, stop, part)
    return codes, planes


def written(folder, layout):
    folder.mkdir()
    write_layouts([(folder, layout)], threads=1)
    return np.fromfile(folder / "file", np.uint8)


def layout_of(weight, stored, order=None):
    places, offset = [], 0
    for plane in stored.planes(weight.columns):
        places.append(Placement("file", offset))
        offset += plane.nbytes(weight.rows)
    return Layout((OutputFile("file", offset),), (WriteJob(weight, stored, tuple(places), order),))


def test_codes_come_back_also_in_another_process(tmp_path, weight):
    codes, planes = kept(tmp_path / "codes", weight)
    again = KeptCodes(tmp_path / "codes", {weight.name: STORED}, {weight.name: weight})
    for each in (codes, again):
        assert each.is_complete
        for found, wanted in zip(each.find(weight.name, 0, ROWS), planes, strict=True):
            assert np.array_equal(found, wanted)
    assert [path.name for path in (tmp_path / "codes").iterdir()] == ["a.weight.safetensors"]


def test_an_interrupted_weight_is_not_there(tmp_path, weight):
    codes = KeptCodes(tmp_path, {weight.name: STORED}, {weight.name: weight})
    codes.keep(weight.name, 0, 8, STORED.encode(weight.array[:8]))
    assert codes.find(weight.name, 0, 8) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reordered", [False, True])
def test_a_layout_gets_the_codes_in_its_own_order_of_rows(tmp_path, weight, reordered):
    codes, _ = kept(tmp_path / "codes", weight)
    order = np.random.default_rng(1).permutation(ROWS) if reordered else None
    layout = codes.put_into(layout_of(weight, STORED, order))
    rows = 2 * weight.array[::-1]
    wanted = STORED.encode(rows if order is None else rows[order])
    assert np.array_equal(written(tmp_path / "out", layout), np.concatenate(wanted))


def test_rows_of_several_weights_are_put_together(tmp_path, weight):
    codes, _ = kept(tmp_path / "codes", weight)
    view = RowRanges("b", (RowRange(weight, 8, ROWS), RowRange(weight, 0, 8)))
    layout = codes.put_into(layout_of(view, STORED))
    wanted = STORED.encode(np.roll(2 * weight.array[::-1], -8, 0))
    assert np.array_equal(written(tmp_path / "out", layout), np.concatenate(wanted))


@pytest.mark.parametrize("case", ["another encoding", "another weight", "half another weight"])
def test_codes_that_nothing_would_use_are_refused(tmp_path, weight, case):
    codes, _ = kept(tmp_path / "codes", weight)
    other = ArrayWeight("b", weight.array)
    wanted = {
        "another encoding": layout_of(weight, encoding("bf16")),
        "another weight": layout_of(other, STORED),
        "half another weight": layout_of(
            RowRanges("c", (RowRange(weight, 0, 8), RowRange(other, 8, ROWS))), STORED
        ),
    }[case]
    with pytest.raises(UnsupportedError, match=r"a\.weight"):
        codes.put_into(wanted)


def test_codes_are_weights_for_a_check(tmp_path, weight):
    codes, planes = kept(tmp_path / "codes", weight)
    meant = codes.meant(weight)
    assert np.array_equal(meant.read_rows(3, 9), STORED.decode(planes, ROWS, COLUMNS)[3:9])
    assert codes.meant(ArrayWeight("b", weight.array)).name == "b"
