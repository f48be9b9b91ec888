"""Each pre-tokenizer of llama.cpp is told from all others by the parity texts."""

from __future__ import annotations

import pytest

from targets.gguf.parity_texts import PARITY_TEXTS
from targets.gguf.pre_tokenizers import KNOWN, PreTokenizer, matching
from tests.targets.gguf.checkpoints import steps


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.names[0])
def test_only_its_own_names_match(known: PreTokenizer) -> None:
    same_cuts = [each for each in KNOWN if each.steps == known.steps]
    found = matching(known.build(), known.ignores_merges, PARITY_TEXTS)
    assert found[0] == known.names[0]
    assert set(found) == {name for each in same_cuts for name in each.names}


def test_an_unknown_way_of_cutting_matches_nothing() -> None:
    assert matching(steps("vowels"), False, PARITY_TEXTS) == []
