"""Parts of a recording, put together, are the bytes of the whole."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from convert.errors import BrokenInputError, UsageError
from golden.format import Header, ModelIdentity, prompts_hash, read, write
from golden.parts import Part, join
from golden.record import main, record

PROMPTS = ["he said the sheep", "A b c", "we", "one two three", "and so on"]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_parts_are_every_so_manieth_prompt(count):
    parts = [Part(number, count).of(range(5)) for number in range(count)]
    assert sorted(prompt for part in parts for prompt in part) == list(range(5))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert Part.parse(str(Part(1, count))) == Part(1, count)


def test_more_parts_than_prompts_are_refused():
    with pytest.raises(UsageError, match="too few for 6 parts"):
        Part(5, 6).of(PROMPTS)


def test_a_recording_of_parts_is_that_of_the_whole(checkpoint, tmp_path, capsys):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n---\n".join(PROMPTS))
    common = [str(checkpoint), "--prompts", str(prompts), "--threads", "1", "--no-layered"]
    assert main([*common, "--out", str(tmp_path / "whole")]) == 0
    paths = [tmp_path / f"part{number}" for number in range(2)]
    for number, path in enumerate(paths):
        assert main([*common, "--out", str(path), "--part", f"{number}/2"]) == 0
    assert [len(read(path).prompts) for path in paths] == [3, 2]
    join(paths, tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == (tmp_path / "whole").read_bytes()


def header_of(prompts, **given):
    return Header(
        model=ModelIdentity("tiny", "00", "d", 4),
        prompts_sha256=prompts_hash(prompts),
        **{"versions": {"torch": "2"}, "sample_ids": (1,), "stop_ids": (2,), **given},
    )


@pytest.mark.parametrize("given", [{"versions": {"torch": "3"}}, {"stop_ids": (3,)}])
def test_parts_that_were_recorded_otherwise_do_not_fit(tmp_path, given):
    for name, more in (("a", {}), ("b", given)):
        write(tmp_path / name, header_of([(1,)], **more), [(1,)], [np.zeros((1, 4), np.float32)])
    with pytest.raises(BrokenInputError, match="b was recorded otherwise than a"):
        join([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_first_part_has_the_continuation(checkpoint, tmp_path):
    for number in range(2):
        out = tmp_path / str(number)
        record(checkpoint, out, prompts=PROMPTS[:2], part=Part(number, 2))
    headers = [read(tmp_path / str(number)).header for number in range(2)]
    assert headers[0].continuation
    assert headers[1].continuation is None
    plain = [dataclasses.replace(each, prompts_sha256="", continuation=None) for each in headers]
    assert plain[0] == plain[1]
    assert json.dumps(plain[0].tokenizer_json)
