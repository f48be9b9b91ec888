"""Divisors for AWQ reach the artifact, are kept, and are found again."""

import io

import numpy as np
import pytest

from convert.balancing import Balanced, balanced_name, load, one_division, save
from convert.errors import UsageError
from convert.manifest import read_manifest
from convert.pipeline import RunRequest, run
from convert.progress import Reporter
from convert.recipe import NO_TEXT, Artifact
from passes.awq import Awq
from passes.encodings import ENCODINGS, encoding
from passes.quantize import Policy
from passes.smooth_quant import SmoothQuant
from targets import target
from tests.support.runs import recipe

BALANCED = Balanced({"a.weight": np.exp2(np.linspace(-3, 3, 7)).astype(np.float32)}, "ab" * 32, 9)
Q_PROJ, NORM = "model.layers.1.self_attn.q_proj.weight", "model.layers.1.input_layernorm.weight"


def convert(out, *artifacts, calibrate):
    made = recipe("gguf:q4_0", calibrate=str(calibrate)).model_copy(update={"artifacts": artifacts})
    said = io.StringIO()
    request = RunRequest(recipe=made, out=out, threads=1, gate=False)
    return run(request, Reporter(said)), said.getvalue()


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("The capital of France is Paris.\n---\nA river runs through the old town.\n")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory, text):
    out = tmp_path_factory.mktemp("out")
    artifacts = [
        Artifact(format="gguf", encoding="q4_0", method="awq"),
        Artifact(format="gguf", encoding="q4_0", method="awq-gptq"),
        Artifact(format="gguf", encoding="q4_0"),
    ]
    return out, *convert(out, *artifacts, calibrate=text)


def stored(folder):
    return dict(target("gguf").stored_weights(folder))


def test_one_search_serves_two_artifacts(made):
    out, _, said = made
    assert said.count("awq: awq-") == said.count("is there already") == 1
    assert len([path for path in out.iterdir() if path.name.startswith("awq-")]) == 1
    assert len([path for path in out.iterdir() if path.name.startswith("gptq-")]) == 1


def test_norms_are_divided_by_what_columns_are_multiplied_with(made):
    out, (awq, both, plain), _ = made
    [kept] = out.glob("awq-*.safetensors")
    divisors = load(kept).divisors[Q_PROJ]
    assert not np.array_equal(divisors, np.ones_like(divisors))
    norms = [stored(folder)[NORM] for folder in (awq, both, plain)]
    np.testing.assert_allclose(norms[0] * divisors, norms[2], rtol=1e-6)
    np.testing.assert_array_equal(norms[0], norms[1])
    columns = stored(awq)[Q_PROJ] / divisors - stored(plain)[Q_PROJ]
    assert np.sqrt(np.mean(columns**2)) < 0.15 * np.sqrt(np.mean(stored(plain)[Q_PROJ] ** 2))


def test_codes_found_after_balancing_are_others(made):
    _, (awq, both, _), _ = made
    assert not np.array_equal(stored(awq)[Q_PROJ], stored(both)[Q_PROJ])


def test_the_manifest_names_the_method(made):
    _, (awq, both, plain), _ = made
    found = [read_manifest(folder).calibrated for folder in (awq, both, plain)]
    assert [each and each.method for each in found] == ["awq", "awq-gptq", None]
    assert found[0].tokens > 10
    weighting = [read_manifest(folder).weighting for folder in (awq, both, plain)]
    assert [each is not None for each in weighting] == [True, False, True]


def test_what_no_awq_is_for_is_refused(tmp_path, text):
    with pytest.raises(UsageError, match="6 bits or less"):
        convert(tmp_path, Artifact(format="gguf", encoding="q8_0", method="awq"), calibrate=text)


def test_without_a_text_there_are_no_divisors(tmp_path):
    asked = Artifact(format="gguf", encoding="q4_0", method="awq")
    with pytest.raises(UsageError, match="switched off"):
        convert(tmp_path, asked, calibrate=NO_TEXT)


def test_inputs_are_divided_once():
    policy = Policy("int4", "int8", "int8", (), ENCODINGS)
    smooth, awq = SmoothQuant({}, policy), Awq({}, policy)
    asked = Artifact(format="openvino", method="awq")
    assert one_division(asked, None, awq) is awq and one_division(asked, smooth, None) is smooth
    assert one_division(asked, None, None) is None
    with pytest.raises(UsageError, match="smoothed"):
        one_division(asked, smooth, awq)


def test_divisors_come_back_exactly(tmp_path):
    path = tmp_path / "out" / "awq-1.safetensors"
    save(path, BALANCED)
    found = load(path)
    assert (found.text_sha256, found.tokens) == ("ab" * 32, 9)
    np.testing.assert_array_equal(found.divisors["a.weight"], BALANCED.divisors["a.weight"])
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    path.write_bytes(path.read_bytes()[:-1])
    assert load(path) is None and load(tmp_path / "none") is None


def test_the_name_depends_on_all_that_decides():
    names = {
        balanced_name("a", "b", {"w": encoding("int4")}),
        balanced_name("c", "b", {"w": encoding("int4")}),
        balanced_name("a", "c", {"w": encoding("int4")}),
        balanced_name("a", "b", {"w": encoding("int4_g64")}),
        balanced_name("a", "b", {"v": encoding("int4")}),
    }
    assert len(names) == 5
