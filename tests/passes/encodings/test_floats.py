"""Float encodings against torch's casts."""

import ml_dtypes
import numpy as np
import pytest
import torch

from convert.weights import FloatType
from passes.encodings.floats import FloatEncoding

TORCH = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def every_finite(dtype):
    values = np.arange(65536, dtype=np.uint16).view(dtype)
    return values[np.isfinite(values.astype(np.float32))].reshape(1, -1)


def by_torch(values, name):
    cast = torch.from_numpy(values.astype(np.float32)).to(TORCH[name])
    return cast.reshape(-1).view(torch.uint8).numpy()


@pytest.mark.parametrize("name", ["f32", "bf16", "f16"])
@pytest.mark.parametrize("source", [np.float16, ml_dtypes.bfloat16])
def test_every_16_bit_value_is_cast_as_torch_does(name, source):
    values = every_finite(source)
    if name == "f16":
        values = values[np.abs(values.astype(np.float32)) < 65520].reshape(1, -1)
    assert np.array_equal(FloatEncoding(FloatType(name)).encode(values)[0], by_torch(values, name))


@pytest.mark.parametrize("name", ["bf16", "f16"])
def test_float32_is_rounded_as_torch_does(name):
    random = np.random.default_rng(0)
    bits = random.integers(0, 2**32, 100_000, np.uint32)
    ties = (bits & np.uint32(0xFFFF0000)) | random.choice(
        np.array([0x8000, 0x7FFF, 0x1000, 0x3000], np.uint32), bits.size
    )
    values = np.concatenate([bits, ties]).view(np.float32)
    limit = {"bf16": 3.38e38, "f16": 65519}[name]
    values = values[np.abs(values) < limit].reshape(1, -1)
    assert np.array_equal(FloatEncoding(FloatType(name)).encode(values)[0], by_torch(values, name))


@pytest.mark.parametrize("dtype", FloatType)
def test_what_is_called_lossless_is(dtype):
    chosen = FloatEncoding(dtype)
    for source in (FloatType.F16, FloatType.BF16):
        values = every_finite(source.numpy)
        if dtype is FloatType.F16 and source is FloatType.BF16:
            values = values[np.abs(values.astype(np.float32)) < 65520].reshape(1, -1)
        decoded = chosen.decode(chosen.encode(values), *values.shape)
        same = np.array_equal(decoded.view(np.uint32), values.astype(np.float32).view(np.uint32))
        assert same == (source.value in chosen.lossless_from)


def test_float32_is_kept_bit_for_bit():
    values = np.random.default_rng(1).standard_normal((3, 7), np.float32)
    chosen = FloatEncoding(FloatType.F32)
    assert "f32" in chosen.lossless_from
    assert chosen.encode(values)[0].tobytes() == values.tobytes()
