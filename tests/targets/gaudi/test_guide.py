"""What docs/gaudi.md shows users of the programs, run as they would run it."""

import re
from pathlib import Path
from typing import Any

import pytest

from targets.gaudi.run import GaudiRunner
from tests.support.models import small_model
from tests.support.programs import with_programs


@pytest.mark.parametrize("family", ["llama", "yuan"])
def test_the_example_decodes_what_the_runner_decodes(family, tmp_path, monkeypatch):
    guide = Path("docs/gaudi.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    small = small_model(family, num_hidden_layers=1)
    artifact = with_programs(small, tmp_path, batch=2, context=16, buckets=[8])
    monkeypatch.chdir(artifact)
    shown: dict[str, Any] = {}
    exec(example, shown)
    prompt, found = shown["tokens"][:2], shown["tokens"][2:]
    with GaudiRunner(artifact, threads=1) as runner:
        assert found == runner.generate(prompt, len(found), frozenset())
    assert len(found) == 9
