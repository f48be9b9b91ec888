"""Opens a checkpoint, wherever it is: its configuration, and its weights unread."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.errors import (
    MissingFileError,
    TensorMismatchError,
    UnavailableSourceError,
    UsageError,
)
from convert.expert_tensors import expert_by_expert
from convert.quantized_already import require_unquantized
from convert.sources import safetensors_files
from convert.sources.downloads import Downloads
from convert.sources.hub_urls import hub_id
from convert.sources.object_storage_urls import is_object_url
from convert.sources.shards import read_json_object
from convert.tensor_names import with_base_prefix
from convert.weights import Weight

if TYPE_CHECKING:
    from convert.adapters import Adapter
    from convert.architectures.base import Shape
    from convert.sources.hub import Snapshot
    from convert.sources.object_storage_files import ObjectFiles

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
_CONFIG_FILES = ("config.json", "generation_config.json")
_INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
# Values that older checkpoints carry although they follow from the configuration.
_DERIVED_BUFFERS = (
    ".rotary_emb.inv_freq",
    ".rotary_emb.cos_cached",
    ".rotary_emb.sin_cached",
    ".attn.masked_bias",
    ".attention.masked_bias",
    ".self_attn.masked_bias",
    ".self_attention.scale_mask_softmax.causal_mask",
)
_HEAD = "lm_head.weight"
_SHOWN = 5
_CHUNK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class Checkpoint:
    """A model as it was found: nothing converted, no weight read.

    Args:
        label: Name of the model for people and metadata; never a path of this machine. A hub
            checkpoint's label ends in ``@`` and the commit.
        folder: Holds config.json and, if the model has one, the tokenizer's files.
        config: config.json as it is.
        weights: By the names that they have in a model with a head, whatever part of it the
            checkpoint was saved from; in the order of the files.
        files: Every input file that counts: configuration, index, weights, tokenizer. Of a hub
            checkpoint, weights may still be on their way: see `await_file`.
        downloads: What brings the safetensors of a hub checkpoint; None where everything was
            on this machine from the start.
        adapters: Those whose updates are in the weights, in their order.
        remote: The files of a checkpoint in object storage, whose safetensors are read where they
            are; None for any other.
    """

    label: str
    folder: Path
    config: Mapping[str, Any]
    weights: Mapping[str, Weight]
    files: tuple[Path, ...]
    downloads: Downloads | None = None
    adapters: tuple[Adapter, ...] = ()
    remote: ObjectFiles | None = None

    def await_file(self, path: Path) -> None:
        """Return once a file of `files` is there whole; the weights do this themselves.

        Raises:
            TricastError: It cannot be downloaded.
            InterruptedRunError: `close` was called meanwhile.
        """
        if self.downloads is not None:
            self.downloads.wait(path)
        if self.remote is not None:
            self.remote.bring(path)

    def bring_here(self) -> None:
        """Have every file of `files` in `folder`, for a program that reads the folder itself.

        Raises:
            TricastError: One cannot be had, or the disk has no room for it.
        """
        for path in self.files:
            self.await_file(path)

    def state_of(self, path: Path) -> list[int]:
        """Size of a file of `files` in bytes, and the time of its last change in ns.

        A hub checkpoint's label names the commit, so its files have no time: 0. The sizes of
        those which are on their way are known.

        Raises:
            OSError: The file is gone.
        """
        if self.remote is not None:
            return self.remote.state_of(path)
        if self.downloads is None:
            status = path.stat()
            return [status.st_size, status.st_mtime_ns]
        if path in self.downloads.sizes and not path.is_file():
            return [self.downloads.sizes[path], 0]
        return [path.stat().st_size, 0]

    def close(self) -> None:
        """Break off downloads; whoever waits for a file, in any thread, gets an error now."""
        if self.downloads is not None:
            self.downloads.close()
        if self.remote is not None:
            self.remote.close()


def open_checkpoint(
    source: str,
    *,
    revision: str | None = None,
    scratch: Path | None = None,
    adapters: Sequence[str | Path] = (),
) -> Checkpoint:
    """Open a folder, a GGUF file, a hub id or a folder in object storage; a path that exists wins.

    The safetensors of a hub checkpoint are downloaded while others are read, from the first read
    on. `Checkpoint.close` ends that.

    Code in the checkpoint is never executed.

    Args:
        source: A path, ``organisation/name`` on the hub (or ``hf://organisation/name@revision``),
            or ``s3://``, ``gs://`` or ``az://``.
        revision: Branch, tag or commit on the hub; meaningless for paths.
        scratch: Where a GGUF is unpacked, and small files from object storage are copied to (a
            temporary folder otherwise, not removed).
        adapters: Folders of LoRA adapters, merged into the weights in this order.

    Raises:
        UsageError: A revision is given for something local.
        UnavailableSourceError: No such path, and no such hub id or no connection.
        UnsupportedError: Quantized already, or a GGUF of an unknown kind.
        BrokenInputError: A file is missing, damaged, unsafe or contradicts another.
    """
    checkpoint = _open(source, revision, scratch)
    return _with_adapters(checkpoint, [Path(each).expanduser() for each in adapters])


def _with_adapters(checkpoint: Checkpoint, folders: Sequence[Path]) -> Checkpoint:
    if not folders:
        return checkpoint
    from convert.adapters import merged_into, open_adapter
    from convert.architectures import base_prefix

    prefix = base_prefix(checkpoint.config)
    adapters = tuple(open_adapter(folder, prefix) for folder in folders)
    name, at, commit = checkpoint.label.partition("@")
    return replace(
        checkpoint,
        label="+".join((name, *(folder.resolve().name for folder in folders))) + at + commit,
        weights=merged_into(checkpoint.label, checkpoint.weights, adapters),
        adapters=adapters,
    )


def _open(source: str, revision: str | None, scratch: Path | None) -> Checkpoint:
    path = Path(source).expanduser()
    if revision is not None and path.exists():
        raise UsageError(
            f"{source} is on this machine, so it has no revision",
            expected="a hub id, if a revision is given",
            found=f"revision {revision!r}",
            remedy="drop the revision, or name the model on the hub",
        )
    if path.is_dir():
        return _open_folder(path, path.resolve().name)
    if path.is_file():
        return _open_file(path, scratch)
    if is_object_url(source):
        return _open_objects(source, revision, scratch)
    source, revision = hub_id(source, revision)
    if path.is_absolute() or source.startswith((".", "~")) or source.count("/") != 1:
        raise UnavailableSourceError(
            f"no checkpoint {source!r}",
            expected="a folder, a GGUF file, or a hub id such as organisation/name",
            remedy="check the path",
        )
    from convert.sources.hub import open_snapshot

    snapshot = open_snapshot(source, revision)
    return _open_folder(snapshot.folder, f"{source}@{snapshot.commit}", snapshot)


def require_tensors(checkpoint: Checkpoint, expected: Mapping[str, Shape]) -> tuple[str, ...]:
    """Check that the checkpoint holds the parameters of its architecture and nothing else.

    A stored head beside a tied embedding is allowed where it is the same matrix; only then are
    weights read.

    Args:
        checkpoint: The checkpoint.
        expected: Name and shape of every parameter, the embedding first.

    Returns:
        Notes on tensors that are there without need, one sentence each.

    Raises:
        TensorMismatchError: Tensors are missing, too many, or of another shape.
    """
    weights = checkpoint.weights
    spare = {_HEAD} & (weights.keys() - expected.keys())
    kept = {name: weight.shape for name, weight in weights.items() if name not in spare}
    compare_tensors(checkpoint.label, kept, expected)
    if not spare:
        return ()
    if not _same_values(weights[_HEAD], weights[next(iter(expected))]):
        raise TensorMismatchError(
            f"{_HEAD} of {checkpoint.label} is another matrix than the embedding",
            expected="the same matrix, because config.json ties them (tie_word_embeddings)",
            remedy='set "tie_word_embeddings": false in config.json if the head is meant to differ',
        )
    return (f"{_HEAD} is not used: it is the embedding, and the configuration ties them.",)


def compare_tensors(label: str, found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> None:
    """Compare names and shapes.

    Raises:
        TensorMismatchError: Tensors are missing, too many, or of another shape.
    """
    complaints = {
        "missing": [name for name in expected if name not in found],
        "not known to the architecture": [name for name in found if name not in expected],
        "of another shape": [
            f"{name} {list(found[name])}, not {list(shape)}"
            for name, shape in expected.items()
            if name in found and tuple(found[name]) != tuple(shape)
        ],
    }
    lists = [f"{len(names)} {what}: {_some(names)}" for what, names in complaints.items() if names]
    if lists:
        raise TensorMismatchError(
            f"the tensors of {label} are not those its configuration calls for",
            expected=f"{len(expected)} tensors",
            found="; ".join(lists),
            remedy="check that configuration and weights are of the same model",
        )


def _same_values(one: Weight, other: Weight) -> bool:
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    step = max(1, _CHUNK_ELEMENTS // max(1, one.columns))
    return all(
        one.read_rows(start, min(start + step, one.rows)).tobytes()
        == other.read_rows(start, min(start + step, one.rows)).tobytes()
        for start in range(0, one.rows, step)
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _open_file(path: Path, scratch: Path | None) -> Checkpoint:
    if path.suffix.lower() != ".gguf":
        raise UnavailableSourceError(
            f"{path} is no checkpoint",
            expected="a folder with config.json, or a GGUF file",
            remedy="name the folder that holds the file",
        )
    from convert.import_gguf import import_gguf
    from convert.sources.gguf_shards import unnumbered

    label = unnumbered(path)
    folder = (scratch or Path(tempfile.mkdtemp(prefix="tricast-"))) / label
    _give_time_of(import_gguf(path, folder), folder)
    return _open_folder(folder, label)


def _open_objects(source: str, revision: str | None, scratch: Path | None) -> Checkpoint:
    from convert.sources.object_storage_files import ObjectFiles

    if revision is not None:
        raise UsageError(
            f"{source} is in object storage, so it has no revision",
            expected="a hub id, if a revision is given",
            found=f"revision {revision!r}",
            remedy="drop the revision, or name the model on the hub",
        )
    remote = ObjectFiles(source, scratch or Path(tempfile.mkdtemp(prefix="tricast-")))
    return _open_folder(remote.folder, remote.folder.name, remote=remote)


def _give_time_of(originals: tuple[Path, ...], folder: Path) -> None:
    """Files that are made of unchanged files look unchanged, whenever they are made."""
    latest = max(original.stat().st_mtime_ns for original in originals)
    for path in folder.iterdir():
        os.utime(path, ns=(latest, latest))


def _open_folder(
    folder: Path,
    label: str,
    snapshot: Snapshot | None = None,
    remote: ObjectFiles | None = None,
) -> Checkpoint:
    from convert.architectures import base_prefix, bound_weights, expert_names

    config = read_json_object(folder / "config.json")
    require_unquantized(config, str(folder))
    weights, files, downloads = _open_weights(folder, snapshot, remote)
    weights = with_base_prefix(weights, base_prefix(config))
    names = expert_names(config)
    weights = weights if names is None else expert_by_expert(weights, names)
    weights = dict(bound_weights(config, weights))
    known = (*_CONFIG_FILES, *_INDEX_FILES, *TOKENIZER_FILES)
    others = tuple(folder / name for name in known if (folder / name).is_file())
    weight_files = tuple(folder / name for name in files)
    every = (*others, *weight_files)
    return Checkpoint(label, folder, config, weights, every, downloads, remote=remote)


def _open_weights(
    folder: Path, snapshot: Snapshot | None, remote: ObjectFiles | None
) -> tuple[dict[str, Weight], Iterable[str], Downloads | None]:
    """The weights, the files that hold them, and what brings those that are on the hub still."""
    coming = snapshot.coming if snapshot else remote.coming if remote else ()
    files = safetensors_files.find_files(folder, coming)
    if files is None:
        if remote is not None:
            remote.bring_pickles()
        return (*_open_pickles(folder), None)
    if remote is not None:
        return remote.open_weights(files, skip=_is_derived), files, None
    if snapshot is None:
        return safetensors_files.open_weights(folder, files, skip=_is_derived), files, None
    from convert.sources import hub_weights

    weights, downloads = hub_weights.open_weights(snapshot, files, skip=_is_derived)
    return weights, files, downloads


def _open_pickles(folder: Path) -> tuple[dict[str, Weight], Iterable[str]]:
    from convert.sources import torch_files

    files = torch_files.find_files(folder)
    if files is None:
        raise MissingFileError(
            f"{folder} holds no weights",
            expected="model.safetensors or pytorch_model.bin, or an index of shards",
            remedy="download the whole checkpoint",
        )
    return torch_files.open_weights(folder, files, skip=_is_derived), files


def _is_derived(name: str) -> bool:
    return name.endswith(_DERIVED_BUFFERS)
