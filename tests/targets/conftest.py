"""An artifact of two ranks, made once from a small random model."""

from __future__ import annotations

import pytest

from tests.support.models import small_model
from tests.support.rank_artifacts import make_pair


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """Llama with an odd vocabulary and biases, for two ranks."""
    model = small_model("llama", attention_bias=True, mlp_bias=True)
    return make_pair(model, tmp_path_factory.mktemp("pair"), 2)
