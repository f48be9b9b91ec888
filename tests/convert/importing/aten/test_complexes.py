"""Rotations by complex numbers give in onnxruntime what torch gives."""

import pytest

from convert.importing.aten.complexes import COMPLEX, of_complex
from convert.importing.call import NoFormError
from tests.support.imported import assert_same


@pytest.mark.slow
def test_rotations_by_complex_numbers():
    def function(x, positions):
        import torch

        angles = positions.unsqueeze(-1) / (1.0 + torch.arange(6, device=positions.device))
        turns = torch.polar(torch.ones_like(angles), angles)
        pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        turned = torch.view_as_real((pairs * turns * 2.0).unsqueeze(0)[0]).flatten(2)
        return turned.type_as(x) + torch.view_as_real(turns * pairs).flatten(2)

    assert_same(function)


def test_other_operators_have_no_form_for_them():
    assert "aten.polar.default" in COMPLEX
    with pytest.raises(NoFormError, match="complex"):
        of_complex("aten.exp.default", None, {})
