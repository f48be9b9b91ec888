"""Torch computes of a decoder layer what numpy does."""

import numpy as np
import pytest
import torch

from convert.weights import read_float32
from passes.autoround.blocks import blocks_of
from passes.autoround.running import TorchBlock
from passes.calibration.execution import Execution
from passes.calibration.steps import plan
from tests.support.models import random_ids, small_model

TEXTS = [[3, 5, 7, 11, 13], *(ids.tolist() for ids in random_ids(1, 9, 101))]


class Comparing(Execution):
    """Runs every block in torch, too, and notes how far its outputs are from numpy's."""

    def __init__(self, model):
        super().__init__(model, TEXTS, (), logits=False)
        self.blocks = blocks_of(plan(model, logits=False))
        self.errors = []
        self._due = {}

    def before(self, step):
        for block, outputs in self._due.pop(self.done, []):
            for text, output in enumerate(outputs):
                wanted = self.held.get(block.result, text)
                self.errors.append(np.abs(output.numpy() - wanted).max() / np.abs(wanted).max())
        for block in self.blocks:
            if block.first == self.done:
                texts = range(len(TEXTS))
                weights = {
                    each.weight.name: torch.from_numpy(read_float32(each.weight))
                    for each in block.steps
                    if each.weight is not None
                }
                ways = TorchBlock(block, self.held, texts)
                sources = [torch.from_numpy(self.held.get(block.source, text)) for text in texts]
                outputs = [ways.run(text, sources[text], weights) for text in texts]
                last = block.first + len(block.steps)
                self._due.setdefault(last, []).append((block, outputs))


@pytest.mark.parametrize("family", ["llama", "qwen3", "bloom", "yuan"])
def test_torch_computes_what_numpy_does(family):
    running = Comparing(small_model(family).graph())
    running.run(lambda count: None)
    assert len(running.blocks) == 2
    assert len(running.errors) == 2 * len(TEXTS)
    assert max(running.errors) < 5e-6
