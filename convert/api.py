"""The Python API: what the commands do, as functions that print nothing and return what they found.

All of them raise the errors of `convert.errors`, whose text says what was expected, what was found
and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from convert.cores import ALL_CORES
from convert.errors import UsageError
from convert.known_errors import catalogued
from convert.progress import Reporter, Silent
from convert.results import Generated, Made, RunResult, Verified
from convert.uncollected import uncollected

if TYPE_CHECKING:
    from convert.benching import Speed
    from convert.inspection import Inspection
    from convert.outlets.choosing import Output
    from convert.planning import Plan
    from convert.recipe import Recipe

FilePath: TypeAlias = "str | Path"
RecipeLike: TypeAlias = "str | Path | Recipe | Mapping[str, Any]"


@catalogued
def run(
    model: FilePath | None = None, *, to: str | Sequence[str] = (),
    recipe: RecipeLike | None = None, out: FilePath = "out", revision: str | None = None,
    lora: Sequence[FilePath] = (), settings: Mapping[str, Any] | None = None,
    tensor_parallel: int | None = None, method: str | None = None,
    smooth_quant: float | str | None = None, target_bits: float | None = None,
    max_kld: float | None = None, split_max_size: int | str | None = None,
    calibrate: FilePath | None = None, calibration_tokens: int | None = None,
    imatrix: FilePath | None = None, prompts: FilePath | None = None,
    golden: FilePath | None = None, gate: bool = True, tokenizer: bool = True,
    strict: bool = False, keep_failed: bool = False, restart: bool = False, report: bool = True,
    memory: int | str | None = None, threads: int = ALL_CORES, staging: FilePath | None = None,
    on: str | None = None, reporter: Reporter | None = None,
) -> RunResult:  # fmt: skip
    """Convert a checkpoint into artifacts, each checked against the original; `convert run`.

    Args:
        model: Checkpoint folder, GGUF file or hub id; None takes the recipe's.
        to: ``FORMAT:ENCODING``, one or several, in the place of the recipe's artifacts.
        recipe: Name of a shipped recipe, a YAML file, or the recipe itself.
        out: Folder that will hold one folder for each artifact, or its URL elsewhere.
        settings: Of targets, such as ``{"cards": 8}``.
        gate: Whether to compare with the original before an artifact gets its name.
        golden: A recording of the original made elsewhere.
        memory: For weights in flight: bytes, or a text such as ``512MB``.
        report: Whether to write a page about each artifact beside it.
        on: Who works: ``ray``, or ``ray://HOST:PORT``; None: this process.
        staging: Below which folder artifacts for elsewhere are made; None: the user's cache.
        reporter: Told of every stage and verdict; None: nobody is.

    The others are the options of the same names; None leaves what the recipe says.

    Raises:
        GateError: An artifact does not match the original; the others are finished.
        TricastError: Whatever else is wrong, see `convert.errors`.
    """
    from convert.asking import recipe_of
    from convert.outlets.choosing import output

    if golden is not None and not gate:
        raise UsageError("--golden and --no-gate contradict each other", remedy="drop one of them")
    common = {
        "tensor_parallel": tensor_parallel, "method": method, "smooth_quant": smooth_quant,
        "target_bits": target_bits, "max_kld": max_kld,
    }  # fmt: skip
    with output(out, staging, gate=gate) as place:
        chosen = recipe_of(
            _text(model), recipe, _texts(to), common=common, revision=revision,
            prompts=place.file(prompts), calibrate=place.file(calibrate),
            imatrix=place.file(imatrix), calibration_tokens=calibration_tokens,
            lora=tuple(map(str, lora)) or None,
        )  # fmt: skip
        return _run(
            chosen, place, _settings(settings, split_max_size), reporter or Silent(),
            threads=threads, gate=gate, tokenizer=tokenizer, strict=strict, report=report,
            golden=place.file(golden), keep_failed=keep_failed, restart=restart, memory=memory,
            on=on,
        )  # fmt: skip


def _run(
    chosen: Recipe, place: Output, settings: Mapping[str, Any], reporter: Reporter, *,
    golden: str | None, memory: int | str | None, threads: int, on: str | None, **options: Any,
) -> RunResult:  # fmt: skip
    from convert.fleet.choosing import workers_at
    from convert.opening import open_early
    from convert.sizes import parse_size

    with workers_at(on, threads, reporter) as workers:
        opened = open_early(chosen)
        from convert import pipeline
        from convert.target_options import with_options

        request = pipeline.RunRequest(
            with_options(chosen, settings), place.folder, threads, outlet=place.outlet,
            opened=opened, golden=_path(golden), workers=workers,
            memory=parse_size(memory) if isinstance(memory, str) else memory, **options,
        )  # fmt: skip
        made = pipeline.run(request, reporter)
    return RunResult(tuple(Made(folder, place.outlet.place(folder)) for folder in made))


@catalogued
@uncollected()
def plan(
    model: FilePath | None = None, *, to: str | Sequence[str] = (),
    recipe: RecipeLike | None = None, revision: str | None = None,
    settings: Mapping[str, Any] | None = None, tensor_parallel: int | None = None,
    target_bits: float | None = None, hardware: str | Sequence[str] = (),
    batch: int | None = None, context: int | None = None, prompt_tokens: int | None = None,
    files: bool = False, out: FilePath = "out", workers: int | None = None,
    fleet: Mapping[str, Any] | None = None,
) -> Plan:  # fmt: skip
    """What a run would make, from config.json alone; `convert plan`.

    Args:
        model: Checkpoint folder, config.json or hub id; None takes the recipe's.
        settings: Of targets, such as ``{"cards": 8}``.
        hardware: Machines to predict latencies for: names or YAML files, see `convert.hardware`.
        batch: Sequences at once there.
        context: Tokens of a prompt and its answer.
        prompt_tokens: Tokens of the prompt alone.
        files: Also lay the files out, as a run does, for the exact size of each; needs the
            checkpoint.
        out: Folder that a run would write to; a URL for object storage.
        workers: Plan the conversion by a fleet of so many, and a driver.
        fleet: What else is known of it, the options of `convert.hardware.fleet.fleet_of`.

    The others are those of `run`.

    Returns:
        The plan, whether or not it fits its devices: `Plan.require_fit` raises if it does not.
    """
    from convert.asking import recipe_of
    from convert.config_only import read_config
    from convert.hardware.fleet import asked_fleet, is_url
    from convert.planning import plan as make_plan
    from convert.prediction.asked import Asked
    from convert.target_options import with_options

    common = {"tensor_parallel": tensor_parallel, "target_bits": target_bits}
    chosen = recipe_of(_text(model), recipe, _texts(to), common=common, revision=revision)
    if chosen.model is None:
        raise UsageError(
            "no model is named",
            expected="MODEL on the command line, or `model:` in the recipe",
        )
    together = asked_fleet(workers, fleet or {}, out=str(out))
    config = read_config(chosen.model, revision=chosen.revision)
    chosen, sizes = with_options(chosen, settings or {}), None
    if files:
        from convert.laid_out_files import laid_out_files

        sizes = laid_out_files(chosen)
    return make_plan(
        config, chosen, hardware=_texts(hardware), asked=Asked(batch, context, prompt_tokens),
        files=sizes, out=Path("." if is_url(str(out)) else out), fleet=together,
    )  # fmt: skip


@catalogued
def verify(
    artifact: FilePath,
    *,
    golden: FilePath | None = None,
    gate: bool = True,
    key: FilePath | None = None,
    authority: FilePath | None = None,
    identity: str | None = None,
    issuer: str | None = None,
    threads: int = ALL_CORES,
    reporter: Reporter | None = None,
) -> Verified:
    """Check a finished artifact against its manifest, and run its gate again; `convert verify`.

    Args:
        artifact: Its folder, or its URL in object storage, from which it is copied to check it.
        golden: Recording to compare with; None takes the one that the run left beside it.
        gate: Whether to run the artifact again, or only to check the files.
        key: The public key that it must be signed with.
        authority: Or: a certificate authority that must have certified who signed it.
        identity: Or: whom Sigstore must know the signer as, with the ``issuer`` of that identity.

    Raises:
        SignatureError: It is not signed so.
        VerificationError: The files are not what the manifest says.
        GateError: The artifact no longer matches the original.
    """
    from convert.provenance.signatures import trust_in
    from convert.sources.object_copies import file_here, folder_here
    from convert.verification import verify as verify_artifact

    trust = trust_in(_path(key), _path(authority), identity, issuer)
    with folder_here(artifact) as folder, file_here(golden) as recording:
        return verify_artifact(
            folder, golden=recording, gate=gate, threads=threads, trust=trust,
            reporter=reporter or Silent(),
        )  # fmt: skip


@catalogued
def inspect(path: FilePath) -> Inspection:
    """Tensors, shapes, encodings, bytes and metadata of a checkpoint or artifact."""
    from convert.inspection import inspect as inspect_path

    return inspect_path(Path(path))


@catalogued
def bench(
    artifact: FilePath,
    *,
    prompt_tokens: int | Sequence[int] = 128,
    batch: int | Sequence[int] = 1,
    new_tokens: int = 32,
    profile: bool = False,
    threads: int = ALL_CORES,
) -> tuple[Speed, ...]:
    """How fast an artifact runs here, for every length of prompts and every batch.

    Args:
        profile: Also the time of each kind of operator; for one length, and batch 1.
    """
    from convert import benching

    lengths = [prompt_tokens] if isinstance(prompt_tokens, int) else list(prompt_tokens)
    batches = [batch] if isinstance(batch, int) else list(batch)
    folder = Path(artifact)
    if not profile:
        sweep = benching.measure_sweep(
            folder, prompt_tokens=lengths, batches=batches, new_tokens=new_tokens, threads=threads
        )
        return tuple(sweep)
    if len(lengths) > 1 or batches != [1]:
        raise UsageError("--profile takes one length of prompts, and batch 1")
    speed = benching.measure_speed(
        folder, prompt_tokens=lengths[0], new_tokens=new_tokens, profile=True, threads=threads
    )
    return (speed,)


@catalogued
def generate(
    artifact: FilePath, prompts: str | Sequence[str], *, new_tokens: int = 50,
    prompt_tokens: int | None = None, batch: int = 1, chat: bool = False,
    temperature: float | None = None, top_k: int | None = None, top_p: float | None = None,
    seed: int = 0, stop: bool = True, threads: int = ALL_CORES,
) -> tuple[Generated, ...]:  # fmt: skip
    """Continue texts with a finished artifact, in its own runtime; `convert generate`.

    Args:
        prompts: A text, or several.
        new_tokens: At most so many are added to each.
        prompt_tokens: Each text is cut to its first so many tokens; None leaves it whole.
        batch: Texts that are computed at once.
        chat: Put each text into the artifact's chat template, as the user's turn.
        stop: Whether to end where the artifact says that a text ends.

    ``temperature``, ``top_k`` and ``top_p`` draw tokens by chance, which ``seed`` settles; without
    them the likeliest is taken.
    """
    from convert.datasets import Text
    from convert.generate_command import Drawing, asked_for
    from convert.generating import generate as generate_records

    given = [Text(text, f"prompt {index}") for index, text in enumerate(_texts(prompts))]
    drawing = Drawing(temperature, top_k, top_p, seed)
    asked = asked_for(
        lambda: given, drawing, prompt_tokens=prompt_tokens, new_tokens=new_tokens, batch=batch,
        chat=chat, stop=stop,
    )  # fmt: skip
    records = generate_records(Path(artifact), asked, threads=threads) if given else ()
    return tuple(
        Generated(
            record["prompt"], record["text"], tuple(record["prompt_ids"]),
            tuple(record["new_ids"]), record["finish"],
        )
        for record in records
    )  # fmt: skip


def _settings(given: Mapping[str, Any] | None, shards: int | str | None) -> dict[str, Any]:
    return {**(given or {}), **({} if shards is None else {"split_max_size": shards})}


def _path(given: FilePath | None) -> Path | None:
    return None if given is None else Path(given)


def _text(given: FilePath | None) -> str | None:
    return None if given is None else str(given)


def _texts(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)
