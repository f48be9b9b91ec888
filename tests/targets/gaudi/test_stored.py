import ml_dtypes
import numpy as np
import pytest

from passes.encodings.fp8 import Fp8Rows
from targets.gaudi.stored import stored_weights


@pytest.fixture
def artifact(tmp_path):
    """Two shards; the codes of one tensor and its scales lie in different ones."""
    import torch
    from safetensors.torch import save_file

    def codes(count, columns):
        values = torch.arange(count, dtype=torch.uint8).reshape(-1, columns)
        return values.view(torch.float8_e4m3fn)

    rows = torch.tensor([[0.5], [2.0]])
    first = {
        "a.weight": codes(8, 4),
        "b.weight": codes(6, 3),
        "b.weight_scale": torch.tensor([3.0]),
        "b.input_scale": torch.tensor([7.0]),
        "self_attn.k_scale": torch.tensor([7.0]),
        "self_attn.v_scale": torch.tensor([7.0]),
    }
    second = {"a.weight_scale": rows, "norm.weight": torch.ones(3, dtype=torch.bfloat16)}
    save_file(first, tmp_path / "model-00001-of-00002.safetensors")
    save_file(second, tmp_path / "model-00002-of-00002.safetensors")
    return tmp_path


def test_codes_are_multiplied_by_their_scales_wherever_these_lie(artifact):
    found = dict(stored_weights(artifact))
    codes = np.arange(8, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    assert set(found) == {"a.weight", "b.weight", "norm.weight"}
    assert np.array_equal(found["a.weight"], codes.reshape(2, 4) * np.float32([[0.5], [2.0]]))
    assert np.array_equal(found["b.weight"], codes[:6].reshape(2, 3) * np.float32(3))
    assert found["norm.weight"].tolist() == [1, 1, 1]
    assert all(values.dtype == np.float32 for values in found.values())


def test_it_decodes_what_the_encoding_stores(tmp_path):
    import torch
    from safetensors.torch import save_file

    rows = np.random.default_rng(0).standard_normal((5, 12), np.float32)
    chosen = Fp8Rows(240)
    codes, scales = chosen.encode(rows)
    weight = torch.from_numpy(codes.reshape(5, 12)).view(torch.float8_e4m3fn)
    scale = torch.from_numpy(scales.view(np.float32).reshape(5, 1).copy())
    save_file({"m.weight": weight, "m.weight_scale": scale}, tmp_path / "model.safetensors")
    ((_, found),) = stored_weights(tmp_path)
    assert np.array_equal(found, chosen.decode((codes, scales), 5, 12))
