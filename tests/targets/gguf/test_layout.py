"""The files of a model are known, header and all, before a weight is read."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from targets.gguf.file_names import FILE
from targets.gguf.layout import lay_out
from targets.gguf.options import Options
from tests.targets.gguf.checkpoints import VOCABULARY, checkpoint, convert, request


def test_a_checkpoint_is_laid_out_with_its_proven_tokenizer(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", "llama")
    layout = convert(model, tmp_path / "in", tmp_path / "out")
    assert layout.notes == ()
    fields = gguf.GGUFReader(tmp_path / "out" / FILE).fields
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    assert len(fields["tokenizer.ggml.tokens"].contents()) == VOCABULARY


@pytest.mark.usefixtures("proven_once")
@pytest.mark.parametrize("limit", [None, 50_000])
def test_no_weight_is_read(
    limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = checkpoint(tmp_path / "in", "llama")
    asked = request(model, tmp_path / "in", "q4_0")
    for kind in {type(weight) for weight in model.weights.values()}:
        monkeypatch.setattr(kind, "read_rows", lambda *_: pytest.fail("a weight was read"))
    layout = lay_out(asked, Options(limit))
    assert (len(layout.files) > 1) == (limit is not None)
    assert {id(job.weight) for job in layout.jobs} == {id(w) for w in model.weights.values()}
