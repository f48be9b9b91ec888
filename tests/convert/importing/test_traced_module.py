"""What is traced tells a model positions as it counts them itself."""

from types import SimpleNamespace

import pytest

from convert.importing.traced_module import traced_module
from tests.support.imported import largest_differences, raw_config


def module_with(padding):
    import torch

    class Embeddings(torch.nn.Module):
        padding_idx = padding

        @staticmethod
        def create_position_ids_from_input_ids(ids, padding_idx):
            return ids.ne(padding_idx).cumsum(1) + padding_idx

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embeddings = Embeddings()

        def forward(self, input_ids, attention_mask, position_ids=None, **_):
            return SimpleNamespace(logits=position_ids)

    return Model()


@pytest.mark.parametrize(("padding", "first"), [(None, 0), (0, 1), (3, 4)])
def test_the_first_position_is_what_the_model_counts_from(padding, first):
    import torch

    ids = torch.arange(5)[None]
    found = traced_module(module_with(padding), remembers=True)(ids, ids, ids)
    assert found.tolist() == [[number + first for number in range(5)]]


@pytest.mark.slow
def test_a_model_that_counts_from_its_padding():
    raw = raw_config("roberta", is_decoder=True, pad_token_id=1, num_key_value_heads=...)
    found = largest_differences(raw)
    assert max(found.values()) < 1e-5, found
