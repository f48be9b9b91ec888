"""The golden file: round trip, damage, other models' recordings, a full disk."""

from __future__ import annotations

import dataclasses
import errno
import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from convert.errors import (
    BadHeaderError,
    BrokenInputError,
    DiskFullError,
    GoldenMismatchError,
    MissingFileError,
    TruncatedFileError,
)
from golden.format import (
    Header,
    ModelIdentity,
    RenderedChat,
    TokenizedText,
    prompts_hash,
    read,
    write,
)

PROMPTS = ((1, 2, 3), (4, 0))
VOCAB = 7
HEADER = Header(
    model=ModelIdentity("tiny", "ab" * 32, "cd" * 32, VOCAB),
    versions={"torch": "2.13.0"},
    prompts_sha256=prompts_hash(PROMPTS),
    sample_ids=(1, 2),
    stop_ids=(0,),
    tokenized=(TokenizedText("é\n\u200b", (5, 6)),),
    chats=(RenderedChat(({"role": "user", "content": "hi"},), "<user>hi"),),
    tokenizer_json='{"version":"1.0"}',
)


def logits():
    generator = np.random.default_rng(0)
    return [generator.standard_normal((len(p), VOCAB)).astype(np.float32) for p in PROMPTS]


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "golden", HEADER, PROMPTS, logits())
    return tmp_path / "golden"


def test_round_trip(path):
    golden = read(path)
    assert dataclasses.replace(golden.header, tokenizer_json=None) == dataclasses.replace(
        HEADER, tokenizer_json=None
    )
    assert golden.header.tokenizer_json.strip() == HEADER.tokenizer_json
    assert golden.prompts == PROMPTS
    for index, expected in enumerate(logits()):
        np.testing.assert_array_equal(golden.logits(index), expected)


def test_it_is_a_safetensors_file_with_aligned_tensors(path):
    with safe_open(path, framework="numpy") as file:
        assert set(file.keys()) == {"ids.0", "ids.1", "logits.0", "logits.1", "tokenizer"}
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert length % 8 == 0
    entries = json.loads(raw[8 : 8 + length])
    assert all(e["data_offsets"][0] % 4 == 0 for n, e in entries.items() if n != "__metadata__")


def test_bytes_depend_on_the_contents_alone(path, tmp_path):
    write(tmp_path / "again", HEADER, PROMPTS, logits())
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_logits_are_drawn_one_prompt_at_a_time(tmp_path):
    seen = []

    def lazily():
        for values in logits():
            # The file under its final name appears only after the last prompt.
            seen.append((tmp_path / "golden").exists())
            yield values

    write(tmp_path / "golden", HEADER, PROMPTS, lazily())
    assert seen == [False, False]
    assert [entry.name for entry in tmp_path.iterdir()] == ["golden"]


def test_a_wrong_shape_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match=r"logits\.1"):
        write(tmp_path / "golden", HEADER, PROMPTS, [logits()[0], logits()[0]])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path):
    def failing():
        yield logits()[0]
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFullError, match="golden"):
        write(tmp_path / "golden", HEADER, PROMPTS, failing())
    assert list(tmp_path.iterdir()) == []


def test_missing(tmp_path):
    with pytest.raises(MissingFileError, match="nowhere"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize("keep", [0, 5, 40, 0.5, 0.9, -1])
def test_truncated_anywhere(path, keep):
    raw = path.read_bytes()
    cut = int(len(raw) * keep) if isinstance(keep, float) else keep
    path.write_bytes(raw[:cut])
    with pytest.raises(TruncatedFileError, match="ends before"):
        read(path)


@pytest.mark.parametrize("garbage", [b"not a recording at all", bytes(64), b"\xff" * 64])
def test_garbage(tmp_path, garbage):
    (tmp_path / "golden").write_bytes(garbage)
    with pytest.raises(BrokenInputError, match="golden"):
        read(tmp_path / "golden")


def test_a_safetensors_file_that_is_no_golden(tmp_path):
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "golden")
    with pytest.raises(BadHeaderError, match="not a recording"):
        read(tmp_path / "golden")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (rb"\"format\": 1", rb"\"format\": 9"),
        (rb"\"vocab\": 7", rb"\"vocab\": 8"),
        (rb"\"prompts\": 2", rb"\"prompts\": 3"),
        (rb"\"sample_ids\": [1", rb"\"sample_idz\": [1"),
        (rb"\"prompts\": 2", rb"\"prompts\": 0"),
    ],
)
def test_a_header_that_contradicts_itself(path, before, after):
    raw = path.read_bytes()
    assert raw.count(before) == 1
    path.write_bytes(raw.replace(before, after))
    with pytest.raises(BadHeaderError, match="not a recording"):
        read(path)


def test_changed_prompts(path):
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    assert raw[start] == PROMPTS[0][0]
    path.write_bytes(raw[:start] + b"\x05" + raw[start + 1 :])
    with pytest.raises(BadHeaderError, match="not a recording"):
        read(path)


def test_recorded_nan(tmp_path):
    values = logits()
    values[1][0, 0] = np.nan
    write(tmp_path / "golden", HEADER, PROMPTS, values)
    golden = read(tmp_path / "golden")
    golden.logits(0)
    with pytest.raises(BrokenInputError, match="NaN"):
        golden.logits(1)


def test_another_models_recording(path):
    golden = read(path)
    golden.require_model()
    golden.require_model(digest="cd" * 32, config_sha256="ab" * 32, vocab=VOCAB)
    for other in ({"digest": "00"}, {"config_sha256": "00"}, {"vocab": 8}):
        with pytest.raises(GoldenMismatchError, match="another model, 'tiny'") as caught:
            golden.require_model(**other)
        assert caught.value.exit_code == 2
