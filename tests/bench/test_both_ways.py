"""Hand-written families by both ways: the same tensors, the same logits, in OpenVINO."""

from collections import Counter

import numpy as np
import pytest

from bench.both_ways import HAND, IMPORTED, both_artifacts, nothing_written, stored_tensors
from convert.architectures import architecture_of
from convert.importing.architecture import Imported
from tests.support.imported import original, raw_config

FAMILIES = {
    "llama": {},
    "mistral": {"sliding_window": 4},
    "qwen2": {},
    "qwen3": {"tie_word_embeddings": True},
    "bloom": {
        "n_layer": 2,
        "n_head": 6,
        **dict.fromkeys(("intermediate_size", "num_hidden_layers", "num_attention_heads"), ...),
        **dict.fromkeys(("num_key_value_heads", "head_dim", "max_position_embeddings"), ...),
    },
}


def test_nothing_is_written_by_hand_within():
    raw = raw_config("llama")
    with nothing_written():
        assert isinstance(architecture_of(raw), Imported)
    assert not isinstance(architecture_of(raw), Imported)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_hand_written_families_by_both_ways(family, tmp_path):
    from targets.openvino.run import EXACT, OpenVinoRunner

    original(raw_config(family, **FAMILIES[family])).save_pretrained(tmp_path / "checkpoint")
    made = both_artifacts(str(tmp_path / "checkpoint"), "openvino:f32", tmp_path)
    stored = {name: stored_tensors(place) for name, place in made.items()}
    assert stored[IMPORTED] == stored[HAND]
    assert sum(stored[HAND].values()) > 10
    ids = np.random.default_rng(0).integers(3, 101, (2, 9))
    logits, kinds = {}, {}
    for name, place in made.items():
        runner = OpenVinoRunner(place, threads=1, overrides=EXACT)
        positions = np.tile(np.arange(9), (2, 1))
        mask = np.ones_like(ids)
        logits[name] = runner.feed_batch(ids, attention_mask=mask, position_ids=positions)
        operators = runner.compiled.get_runtime_model().get_ordered_ops()
        kinds[name] = Counter(str(op.get_rt_info()["layerType"].astype(str)) for op in operators)
    sigma = logits[HAND].std()
    assert abs(logits[IMPORTED] - logits[HAND]).max() < 1e-5 * sigma
    fused = ("ScaledDotProductAttention", "ScaledDotProductAttentionWithKVCache", "RoPE")
    assert [kinds[IMPORTED][kind] for kind in fused] == [kinds[HAND][kind] for kind in fused]
