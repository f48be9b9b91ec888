"""Small models are built by name, the same for the same seed."""

import pytest
import torch

from convert.errors import UsageError
from golden.training.models import SMALL_MODELS, VOCABULARY, build_untrained


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_a_seed_decides_the_weights(name):
    torch.manual_seed(3)
    first = build_untrained(name)
    torch.manual_seed(3)
    second = build_untrained(name)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(left, right) for left, right in pairs)


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_a_model_gives_logits_over_the_vocabulary(name):
    logits = build_untrained(name)(input_ids=torch.tensor([[1, 2, 3]])).logits
    assert logits.shape == (1, 3, VOCABULARY)


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_a_model_fits_into_3_2_mb_of_bfloat16(name):
    weights = sum(weight.numel() for weight in build_untrained(name).parameters())
    assert 2 * weights < 3_200_000


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="no such small model") as caught:
        build_untrained("tiny-gpt")
    assert caught.value.found == "tiny-gpt"
    assert "tiny-llama" in caught.value.expected
