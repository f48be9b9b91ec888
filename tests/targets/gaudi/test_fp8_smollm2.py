"""What FP8 costs a real model, run by transformers with compressed-tensors on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from convert.architectures import architecture_of
from convert.checkpoint import open_checkpoint
from golden import texts
from golden.metrics import compare_logits, summarize
from targets.gaudi.options import GaudiOptions
from targets.gaudi.stored import stored_weights
from tests.support.runs import ROOT
from tests.targets.gaudi.test_compressed_tensors import encoded
from tests.targets.gaudi.test_fp8_checkpoint import load, write

SMOLLM2 = ROOT / "models" / "smollm2"
DYNAMIC = GaudiOptions(card="gaudi2", activations="dynamic")
LARGEST_KLD = 0.02
SENSITIVE = ("layers.0.", "layers.1.", "layers.2.", "layers.29.", "down_proj")
"""A third of the weights: the first and last layers, and those that outliers go through."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SMOLLM2.is_dir(), reason="needs `make models`"),
]


class Original:
    """The checkpoint, its graph, and its logits on the shipped prompts."""

    def __init__(self):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(2)
        checkpoint = open_checkpoint(str(SMOLLM2))
        self.raw_config, self._weights = dict(checkpoint.config), checkpoint.weights
        self.tokenizer = AutoTokenizer.from_pretrained(SMOLLM2)
        self.prompts = [self.tokenizer(text).input_ids for text in texts.prompts()]
        self.model = AutoModelForCausalLM.from_pretrained(SMOLLM2, dtype="float32").eval()
        self.logits = self.run(self.model)

    def graph(self):
        architecture = architecture_of(self.raw_config)
        return architecture.build(architecture.parse(self.raw_config), self._weights)

    def run(self, model):
        import torch

        with torch.no_grad():
            return [model(torch.tensor([ids])).logits[0].numpy() for ids in self.prompts]

    def mean_kld(self, model):
        figures = map(compare_logits, self.logits, self.run(model), self.prompts)
        return summarize(list(figures)).mean_kld


@pytest.fixture(scope="module")
def original():
    return Original()


def test_weights_with_a_scale_for_each_row_cost_little(original, tmp_path):
    import copy

    import torch

    folder = write(original, encoded(original, "fp8_240"), tmp_path / "artifact", DYNAMIC)
    stored = {name: torch.from_numpy(values) for name, values in stored_weights(folder)}
    model = copy.deepcopy(original.model)
    model.load_state_dict(stored, strict=False)
    assert 0.005 < original.mean_kld(model) < LARGEST_KLD


def test_inputs_can_be_fp8_too_where_sensitive_layers_stay_in_bf16(original, tmp_path):
    import torch

    parts = [(part, "bf16") for part in SENSITIVE]
    graph = encoded(original, "fp8_240", overrides=parts)
    model = load(write(original, graph, tmp_path / "artifact", DYNAMIC))
    assert 0.005 < original.mean_kld(model) < LARGEST_KLD
    ids = original.tokenizer("The capital of France is", return_tensors="pt").input_ids
    answer = model.generate(torch.as_tensor(ids), max_new_tokens=5, do_sample=False)
    assert "Paris" in original.tokenizer.decode(np.asarray(answer[0]))
