"""Models are traced with a cache that is never filled."""

import pytest

from convert.importing.traced_cache import StateOfItsOwnError, traced_cache


def test_keys_and_values_come_out_with_all_slots():
    import torch

    cache = traced_cache(9, 4)
    key = torch.zeros(2, 3, 4, 8, device="meta")
    found, value = cache.update(key, key[..., :5], 0)
    assert (found.shape, value.shape) == ((2, 3, 9, 8), (2, 3, 9, 5))
    assert cache.get_seq_length() == cache.get_query_offset() == 5
    assert cache.get_mask_sizes(4, 0) == (9, 0)
    assert not cache.is_compileable and cache.is_sliding == []


def test_states_of_another_kind_are_refused():
    import torch

    cache = traced_cache(9, 4)
    with pytest.raises(StateOfItsOwnError, match="more than keys and values"):
        cache.update_recurrent_state(None, 0)
    with pytest.raises(StateOfItsOwnError, match="3 axes"):
        cache.update(torch.zeros(2, 4, 8, device="meta"), None, 0)
