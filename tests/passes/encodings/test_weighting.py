"""Scales chosen by importances: kernel against reference, what is gained, where plain remains."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import NonFiniteWeightError, UnsupportedEncodingError
from passes.encodings import ENCODINGS, encoding, warm_up
from passes.encodings.weighting import WeightableEncoding
from tests.support.rows import hard_rows

EVERY = ("q4_0", "q4_1", "q5_1", "q4_k", "int4_sym_g17", "int4_g19", "int4_g64", "nf4", "nf4_g16")
every = pytest.mark.parametrize("name", EVERY)
IMPORTANCES = st.sampled_from(["smooth", "one counts", "some are zero", "blocks are zero", "tiny"])


def width_of(name):
    chosen = encoding(name)
    return getattr(chosen, "group", getattr(chosen, "block", 32))


def columns_for(name):
    width = width_of(name)
    return st.integers(1, 5 if width < 256 else 1).map(lambda count: count * width)


def moments_of(kind, columns, width, seed=0):
    random = np.random.default_rng(seed)
    moments = np.exp(2 * random.standard_normal(columns))
    if kind == "one counts":
        moments = np.where(np.arange(columns) == random.integers(columns), 1.0, 1e-12)
    elif kind == "some are zero":
        moments[random.random(columns) < 0.7] = 0
    elif kind == "blocks are zero":
        moments[: columns // width // 2 * width] = 0
    elif kind == "tiny":
        moments = np.where(random.random(columns) < 0.5, 1e-19, 1e-300)
    return moments


def weighted_error(chosen, rows, moments):
    decoded = chosen.decode(chosen.encode(rows), *rows.shape)
    return float(np.sum((decoded - rows.astype(np.float64)) ** 2 * moments))


def heavy_tailed(rows, columns, seed=0):
    values = np.random.default_rng(seed).standard_t(5, (rows, columns))
    return (values * 0.02).astype(ml_dtypes.bfloat16)


@every
def test_the_kernel_equals_the_reference_bit_for_bit(name):
    @settings(max_examples=60, deadline=None)
    @given(hard_rows(columns_for(name)), IMPORTANCES)
    def check(recipe, kind):
        rows = recipe.make()
        moments = moments_of(kind, recipe.columns, width_of(name), recipe.seed)
        chosen = encoding(name).weighted(moments)
        for found, expected in zip(chosen.encode(rows), chosen.reference(rows), strict=True):
            assert np.array_equal(found, expected)

    check()


@every
def test_rows_of_many_blocks_equal_the_reference_too(name):
    columns = 70 * width_of(name)
    rows = heavy_tailed(3, columns)
    chosen = encoding(name).weighted(moments_of("smooth", columns, width_of(name)))
    for found, expected in zip(chosen.encode(rows), chosen.reference(rows), strict=True):
        assert np.array_equal(found, expected)


@every
def test_the_weighted_error_falls_and_the_format_stays(name):
    columns = 4 * width_of(name)
    rows, plain = heavy_tailed(64, columns), encoding(name)
    moments = moments_of("smooth", columns, width_of(name))
    weighted = plain.weighted(moments)
    assert weighted.name == plain.name
    assert weighted.planes(columns) == plain.planes(columns)
    assert weighted.fit(columns) is weighted
    assert weighted_error(weighted, rows, moments) < 0.8 * weighted_error(plain, rows, moments)


@every
def test_no_block_is_worse_than_plain_but_for_the_rounding_of_its_scale(name):
    width = width_of(name)
    rows, plain = heavy_tailed(200, width, 1), encoding(name)
    moments = moments_of("smooth", width, width, 2)
    weighted = plain.weighted(moments)
    for row in rows:
        one = row[None]
        error = weighted_error(weighted, one, moments)
        assert error <= 1.02 * weighted_error(plain, one, moments)


@every
def test_where_nothing_counts_the_plain_codes_are_stored(name):
    columns = 4 * width_of(name)
    rows, plain = heavy_tailed(9, columns), encoding(name)
    nothing = plain.weighted(np.zeros(columns))
    assert all(map(np.array_equal, nothing.encode(rows), plain.encode(rows)))


@pytest.mark.parametrize("name", [name for name in EVERY if not name.endswith("_k")])
def test_blocks_in_which_nothing_counts_are_plain(name):
    columns = 4 * width_of(name)
    rows, plain = heavy_tailed(9, columns), encoding(name)
    moments = moments_of("blocks are zero", columns, width_of(name))
    half = plain.weighted(moments)
    found, expected = (
        each.decode(each.encode(rows), *rows.shape)[:, : columns // 2] for each in (half, plain)
    )
    assert np.array_equal(found, expected)


@every
def test_the_unit_of_the_moments_does_not_matter(name):
    columns = 2 * width_of(name)
    rows, plain = heavy_tailed(5, columns), encoding(name)
    moments = moments_of("smooth", columns, width_of(name))
    small, large = plain.weighted(moments * 2.0**-60), plain.weighted(moments * 2.0**60)
    assert all(map(np.array_equal, small.encode(rows), large.encode(rows)))


@every
def test_chunks_put_together_equal_the_whole(name):
    columns = 3 * width_of(name)
    rows = heavy_tailed(29, columns)
    chosen = encoding(name).weighted(moments_of("smooth", columns, width_of(name)))
    chunks = [chosen.encode(rows[start : start + 8]) for start in range(0, 29, 8)]
    joined = [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
    assert all(map(np.array_equal, joined, chosen.encode(rows)))


@every
def test_the_largest_weights_that_fit_still_fit(name):
    """A scale that is chosen never leaves float16 where the usual one does not."""
    columns = 2 * width_of(name)
    largest = {
        "q4_0": 5.2e5,
        "q4_1": 65504.0,
        "q5_1": 65504.0,
        "nf4": 65504.0,
        "nf4_g16": 65504.0,
    }.get(name, 4.9e5)
    rows = np.random.default_rng(3).uniform(-largest, largest, (16, columns)).astype(np.float32)
    rows[:, 0] = largest
    chosen = encoding(name).weighted(moments_of("one counts", columns, width_of(name)))
    planes = chosen.encode(rows)
    assert np.isfinite(chosen.decode(planes, *rows.shape)).all()
    assert all(map(np.array_equal, planes, chosen.reference(rows)))


@pytest.mark.parametrize("name", ["q4_0", "q4_1", "int4_g64", "int4_sym_g64", "nf4"])
@pytest.mark.parametrize(
    ("bad", "error"), [(np.nan, NonFiniteWeightError), (1e30, UnsupportedEncodingError)]
)
def test_weights_that_cannot_be_stored_are_refused(name, bad, error):
    rows = np.ones((3, 128), np.float32)
    rows[1, 77] = bad
    chosen = encoding(name).weighted(np.ones(128))
    for encode in (chosen.encode, chosen.reference):
        with pytest.raises(error):
            encode(rows)


@pytest.mark.parametrize(
    "moments", [np.full(64, -1.0), np.full(64, np.nan), np.ones((2, 32)), np.ones(0)]
)
def test_moments_that_are_none_are_refused(moments):
    with pytest.raises(UnsupportedEncodingError, match="no second moments"):
        encoding("q4_0").weighted(moments)


def test_moments_of_another_layer_are_refused():
    chosen = encoding("q4_0").weighted(np.ones(64))
    with pytest.raises(UnsupportedEncodingError, match="rows of 64 weights"):
        chosen.encode(np.ones((2, 96), np.float32))


def test_warming_up_runs_the_weighted_kernels_where_asked(monkeypatch):
    weighed = []
    run = WeightableEncoding.encode_into

    def noted(self, rows, planes):
        weighed.append((self.name, self.importance is not None))
        run(self, rows, planes)

    monkeypatch.setattr(WeightableEncoding, "encode_into", noted)
    warm_up(["q4_0", "bf16"])
    warm_up(["nf4", "int8"], weighted=True)
    assert weighed == [
        *(("q4_0", False), ("nf4", False), ("nf4", True)),
        *(("int8", False), ("int8", False)),
    ]


def test_eight_bits_and_nested_scales_are_left_alone():
    for name in ENCODINGS:
        found = encoding(name)
        if isinstance(found, WeightableEncoding) and not found.is_weightable:
            assert found.weighted(np.ones(64)).importance is None
    assert not encoding("int8").is_weightable
    assert encoding("int4").is_weightable
