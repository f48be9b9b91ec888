"""A runner of an artifact with a tokenizer answers for text; without one it has none."""

from __future__ import annotations

import numpy as np

from targets.tokenized_runner import TokenizedRunner
from tests.support.tokenizer import save_tokenizer


class Silent(TokenizedRunner):
    """Computes nothing."""

    def reset(self):
        pass

    def feed(self, ids):
        return np.zeros((len(ids), 1), np.float32)


def test_text_goes_through_the_tokenizer_beside_the_weights(tmp_path):
    without = Silent(tmp_path)
    assert without.tokenize("a") is without.detokenize([1]) is without.chat([]) is None
    assert without.prompt_ids("a") is None
    save_tokenizer(tmp_path)
    runner = Silent(tmp_path)
    assert len(runner.tokenize("a</s>")) == 5
    assert runner.detokenize(runner.prompt_ids("a")).strip() == "a"
    assert runner.chat([{"role": "user", "content": "hi"}]).endswith("<s>assistant:")
