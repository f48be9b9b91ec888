"""What a text run costs follows from shapes; what is run follows from the recipe."""

from __future__ import annotations

import pytest

from convert.calibration_cost import Rates, measured_rates
from convert.config_only import NamedConfig
from convert.planning import plan
from convert.recipe import Artifact, Recipe
from tests.support.models import SMALL

RATES = Rates(operations=1e6, elements=1e6)
RAW = {
    **SMALL,
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
}


def runs(raw=RAW, calibrate="sample", **artifact):
    recipe = Recipe(name="r", artifacts=(Artifact(**artifact),), calibrate=calibrate)
    [planned] = plan(NamedConfig("m", raw), recipe).artifacts
    return planned


def test_scales_are_weighted_on_the_same_read():
    [run] = runs(format="gguf", encoding="q4_0").text_runs
    assert (run.tokens, run.own_read, run.more) == (128, False, "")
    [longer] = runs(format="gguf", encoding="q4_0", calibrate="my.txt").text_runs
    assert longer.tokens == 512
    assert longer.seconds(RATES) > 3 * run.seconds(RATES)


def test_what_reads_no_text_costs_nothing():
    assert not runs(format="gguf", encoding="q8_0").text_runs
    assert not runs(format="gguf", encoding="q4_0", calibrate="none").text_runs


def test_static_scales_of_activations_need_a_run_of_their_own():
    [run] = runs(format="gaudi", encoding="fp8").text_runs
    assert (run.tokens, run.own_read) == (2048, True)


def test_what_is_multiplied_is_counted():
    [run] = runs(format="gguf", encoding="q4_0").text_runs
    layer = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 96
    attention = 4 * 128 * 4 * 16 * 2
    assert run.operations == 128 * (2 * 2 * layer + attention)
    # The head is looked at, and not multiplied with.
    assert run.weights == 2 * layer + 101 * 64
    assert run.disk == 128 * 64 * 4


def test_memory_grows_with_the_width_and_not_with_the_layers():
    def memory(**changes):
        [run] = runs({**RAW, **changes}, format="gguf", encoding="q4_0").text_runs
        return run.memory

    assert memory(num_hidden_layers=20) == memory()
    assert memory(intermediate_size=7200) > memory()


def test_more_tokens_than_a_batch_take_disk_and_no_memory():
    def run(tokens):
        recipe = Recipe(
            name="r",
            artifacts=(Artifact(format="gaudi", encoding="fp8"),),
            calibration_tokens=tokens,
        )
        [found] = plan(NamedConfig("m", RAW), recipe).artifacts[0].text_runs
        return found

    few, many = run(2048), run(65536)
    assert many.tokens == 65536
    assert many.memory == few.memory
    assert few.disk == 2048 * 64 * 4
    assert many.disk == 65536 * (64 + max(5 * 64, 2 * 64 + 2 * 96)) * 4
    assert many.weights == 32 * few.weights


def test_gptq_reads_more_and_holds_second_moments():
    [plain] = runs(format="gaudi", encoding="fp8").text_runs
    [gptq] = runs(format="openvino", encoding="int4_g32", method="gptq").text_runs
    assert gptq.tokens == 4096
    assert gptq.memory == plain.memory + 2 * 96 * 96 * 4


def test_lines_say_time_memory_and_disk():
    [run] = runs(format="gguf", encoding="q4_0").text_runs
    assert run.line(Rates(1e9, 1e9)) == (
        "weight the scales: 128 tokens, as the weights are converted: 0 s, 202 MB of memory, "
        "0.0 MB of disk"
    )
    assert " 10 min," in run.line(Rates(4e4, 1e6))
    assert " h," in run.line(Rates(1e3, 1e6))
    assert run.to_json(RATES)["seconds"] == round(run.seconds(RATES), 1)


def test_a_plan_shows_the_runs():
    planned = runs(format="gaudi", encoding="fp8")
    assert any("to measure what layers read: 2,048 tokens: " in line for line in planned.lines())
    assert planned.to_json()["calibration"][0]["tokens"] == 2048


@pytest.mark.parametrize(
    ("artifact", "purpose", "more"),
    [
        ({"encoding": "int4_g64", "method": "gptq"}, "find codes by gptq", "gptq itself"),
        ({"target_bits": 5.0}, "choose a mix", "a run of each candidate"),
    ],
)
def test_what_is_not_estimated_is_named(artifact, purpose, more):
    [run] = runs(format="openvino", **artifact).text_runs
    assert (run.purpose, run.more) == (purpose, more)
    assert run.line(RATES).endswith(more)
    assert "at least" in run.line(RATES)


def test_this_machine_multiplies_faster_than_it_converts():
    rates = measured_rates()
    assert rates.operations > rates.elements > 1e6
