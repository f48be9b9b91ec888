"""Texts become documents and windows."""

from __future__ import annotations

from dataclasses import replace

import torch

from golden.training import prose
from golden.training.train import Plan

PLAN = Plan(steps=10, tokens_per_step=16, sequence=8)


def test_a_line_with_a_percent_sign_ends_a_document(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("one\nline\n%\n\n%\n100 %\n")
    second.write_text("two")
    assert prose.documents([first, second]) == ["one\nline", "100 %", "two"]


def test_windows_are_stretches_of_the_stream_and_grow_at_the_end():
    drawn = list(prose.windows(torch.arange(50), PLAN))
    assert [tuple(window.shape) for window in drawn] == [(4, 4)] * 8 + [(2, 8)] * 2
    for window in drawn:
        assert torch.equal(window - window[:, :1], torch.arange(window.shape[1]).expand_as(window))


def test_a_seed_draws_the_same_windows():
    def drawn(seed):
        return torch.cat(
            [*map(torch.flatten, prose.windows(torch.arange(50), replace(PLAN, seed=seed)))]
        )

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
