"""What holds of every encoding, and how they are found by name."""

from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import NonFiniteWeightError, UnsupportedEncodingError
from passes.encodings import ENCODINGS, encoding, warm_up
from passes.encodings.base import ROW_ALIGNMENT
from passes.encodings.compiled import CompiledEncoding
from passes.encodings.fp8 import Fp8Tensor
from tests.support.rows import hard_rows

EVERY = (*ENCODINGS, "int4_g19", "int4_sym_g17", "int4_g96", "nf4_g16", "nf4_dq_g128")
quick = settings(max_examples=60, deadline=None)


ANY_COLUMNS = {
    *("f32", "f16", "bf16", "int8", "int8_asym", "w8a8"),
    *("fp8", "fp8_240", "fp8_tensor", "fp8_tensor_240"),
}


def ready(name):
    """The encoding of that name, with a scale where it needs one."""
    chosen = encoding(name)
    return chosen.bound(3.0) if isinstance(chosen, Fp8Tensor) else chosen


def width_of(chosen):
    """Columns of a group or block, if there are any."""
    return getattr(chosen, "group", None) or getattr(chosen, "block", 32)


def columns_for(name):
    group = 1 if name in ANY_COLUMNS else width_of(encoding(name))
    most = 70 if group == 1 else 5 if group < 256 else 2
    return st.integers(1, most).map(lambda count: count * group)


def all_equal(found, expected):
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", EVERY)
def test_the_kernel_equals_the_reference_bit_for_bit(name):
    @quick
    @given(hard_rows(columns_for(name)))
    def check(recipe):
        rows = recipe.make()
        chosen = ready(name)
        assert all_equal(chosen.encode(rows), chosen.reference(rows))

    check()


@pytest.mark.parametrize("name", EVERY)
def test_planes_have_the_size_they_announce(name):
    chosen = ready(name)
    columns = 3 * width_of(chosen)
    planes = chosen.encode(np.ones((5, columns), np.float32))
    announced = chosen.planes(columns)
    assert [plane.size for plane in planes] == [plane.nbytes(5) for plane in announced]
    assert sum(plane.size for plane in planes) == chosen.nbytes(5, columns)


@pytest.mark.parametrize("name", EVERY)
def test_chunks_put_together_equal_the_whole(name):
    chosen = ready(name)
    columns = 3 * width_of(chosen)
    rows = np.random.default_rng(1).standard_normal((29, columns), np.float32)
    whole = chosen.encode(rows)
    for size in (ROW_ALIGNMENT, 3 * ROW_ALIGNMENT):
        chunks = [chosen.encode(rows[start : start + size]) for start in range(0, 29, size)]
        assert all_equal([np.concatenate(parts) for parts in zip(*chunks, strict=True)], whole)


@pytest.mark.parametrize("name", EVERY)
def test_encode_into_fills_the_given_arrays(name):
    chosen = ready(name)
    columns = 3 * width_of(chosen)
    rows = np.random.default_rng(2).standard_normal((3, columns), np.float32)
    planes = chosen.empty_planes(3, columns)
    for plane in planes:
        plane[:] = 0xAA
    chosen.encode_into(rows, planes)
    assert all_equal(planes, chosen.reference(rows))


@pytest.mark.parametrize("name", ["bf16", "q4_0", "int4", "int8"])
def test_layout_and_flags_of_the_rows_do_not_matter(name):
    chosen = ready(name)
    rows = np.random.default_rng(3).standard_normal((4, 256)).astype(ml_dtypes.bfloat16)
    expected = chosen.reference(rows)
    read_only = rows.copy()
    read_only.flags.writeable = False
    odd_address = np.frombuffer(b"x" + rows.tobytes(), rows.dtype, offset=1).reshape(4, 256)
    for same in (read_only, odd_address, np.asfortranarray(rows), np.repeat(rows, 2, 0)[::2]):
        assert all_equal(chosen.encode(same), expected)


def test_threads_may_encode_at_once():
    chosen = encoding("int4")
    rows = np.random.default_rng(4).standard_normal((64, 256), np.float32)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(chosen.encode, np.array_split(rows, 8)))
    joined = [np.concatenate(plane) for plane in zip(*parts, strict=True)]
    assert all_equal(joined, chosen.reference(rows))


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", ENCODINGS)
def test_a_weight_that_is_not_finite_is_refused(name, dtype, bad):
    rows = np.ones((3, 256), dtype)
    rows[1, 77] = bad
    for encode in (ready(name).encode, ready(name).reference):
        with pytest.raises(NonFiniteWeightError, match="NaN or infinite"):
            encode(rows)


@pytest.mark.parametrize(
    ("name", "fine", "too_large"),
    [
        ("f16", 65519.0, 65520.0),
        ("bf16", 3.39e38, 3.4e38),
        ("q8_0", 8.3e6, 8.4e6),
        ("q4_0", 5.2e5, -5.3e5),
        ("q4_1", 65519.0, -65520.0),
        ("q5_1", 65519.0, -65520.0),
        *(("q2_k", 9.8e5, -9.9e5), ("q4_k", 4.1e6, -4.2e6), ("q5_k", 4.1e6, -4.2e6)),
        ("int8", 8.3e6, 8.4e6),
        ("int8_asym", 1.6e7, -1.7e7),
        ("int4", 9.8e5, 9.9e5),
        ("int4_sym", 5.2e5, -5.3e5),
        ("nf4", 65504.0, -65505.0),
        ("nf4_dq", 3.29e38, -3.3e38),
    ],
)
def test_a_weight_too_large_for_its_storage_is_refused(name, fine, too_large):
    rows = np.zeros((2, 256), np.float32)
    rows[1, 5] = fine
    encoding(name).encode(rows)
    rows[1, 5] = too_large
    for encode in (encoding(name).encode, encoding(name).reference):
        with pytest.raises(UnsupportedEncodingError, match="too large"):
            encode(rows)


@pytest.mark.parametrize("name", EVERY)
def test_zeros_decode_to_zeros(name):
    chosen = ready(name)
    columns = 2 * width_of(chosen)
    planes = chosen.encode(np.zeros((3, columns), np.float32))
    assert not chosen.decode(planes, 3, columns).any()


@pytest.mark.parametrize("name", EVERY)
def test_a_name_finds_the_encoding_of_that_name(name):
    assert encoding(name).name == name
    assert isinstance(encoding(name), CompiledEncoding)


@pytest.mark.parametrize(
    "name", ["", "Q4_0", "int3", "int4_g", "int4_g15", "int4_g064", "q8_0_g64", "nf4_g48"]
)
def test_an_unknown_name_is_refused_with_the_names_there_are(name):
    with pytest.raises(UnsupportedEncodingError, match="there is no encoding") as caught:
        encoding(name)
    assert "q4_0" in str(caught.value)


def test_a_slip_is_answered_with_the_name_that_was_meant():
    with pytest.raises(UnsupportedEncodingError, match="did you mean q8_0"):
        encoding("q8")


@pytest.mark.parametrize(
    ("name", "columns"), [("q4_0", 48), ("q8_0", 8), ("int4_g48", 64), ("nf4", 96), ("nf4_dq", 8)]
)
def test_rows_that_do_not_fit_are_refused(name, columns):
    chosen = encoding(name)
    with pytest.raises(UnsupportedEncodingError, match=f"rows of {columns} weights do not fit"):
        chosen.encode_into(np.ones((3, columns), np.float32), chosen.empty_planes(3, 2304))


def test_warming_up_runs_the_kernel_of_every_encoding(monkeypatch):
    ran = []
    run_into = CompiledEncoding.encode_into

    def noted(self, rows, planes):
        ran.append(self.name)
        run_into(self, rows, planes)

    monkeypatch.setattr(CompiledEncoding, "encode_into", noted)
    warm_up(["q4_0", "bf16", "int8", "int4_g48", "int4_g1000", "fp8_tensor"])
    assert ran == ["q4_0", "bf16", "int8", "int4_g32", "int4_g256", "fp8_tensor"]
