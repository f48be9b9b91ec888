"""The reader of GPTQ words that the check in IPEX has: a third one, in torch."""

from __future__ import annotations

import numpy as np
import torch

from bench.verify_ipex import unpacked
from targets.ipex.unpack import weights


def test_it_reads_what_the_runner_reads():
    random = np.random.default_rng(0)
    words = random.integers(-(2**31), 2**31, (8, 16)).astype(np.int32)
    zeros = random.integers(-(2**31), 2**31, (2, 2)).astype(np.int32)
    scales = random.normal(size=(2, 16)).astype(np.float16)
    group_of = (np.arange(64) // 32).astype(np.int32)
    given = (words, zeros, scales, group_of)
    found = unpacked(*(torch.from_numpy(each) for each in given)).numpy()
    assert np.array_equal(found, weights(*given))
