import numpy as np
import pytest

from passes.encodings import encoding as named
from targets.onnx.stored import read_stored_weights
from targets.onnx.target import OnnxTarget
from tests.support.artifact import write_artifact
from tests.support.models import small_model


@pytest.fixture(scope="module")
def small():
    return small_model("llama", tie_word_embeddings=True)


@pytest.mark.parametrize("encoding", OnnxTarget.encodings)
def test_stored_weights_are_what_the_encoding_decodes_to(small, tmp_path, encoding):
    artifact = write_artifact(OnnxTarget(), small, tmp_path / "artifact", encoding)
    stored = dict(read_stored_weights(artifact))
    assert set(stored) == set(small.weights)
    for name, weight in small.weights.items():
        rows = weight.read_rows(0, weight.rows)
        chosen = named(encoding).fit(weight.columns) if len(weight.shape) == 2 else named("f32")
        expected = chosen.decode(chosen.reference(rows), weight.rows, weight.columns)
        assert np.array_equal(stored[name], expected.reshape(weight.shape))
