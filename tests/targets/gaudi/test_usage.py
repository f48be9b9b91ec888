from targets.gaudi.usage import usage


def test_the_guide_comes_first():
    steps = usage(["DEPLOY.md", "vllm.env", "model.safetensors"], "out/x")
    assert [step.code.split()[0] for step in steps] == ["cat", "python", "set"]
    assert "unverified" in steps[0].text


def test_vllm_only_where_it_runs_the_model():
    assert [step.code.split()[0] for step in usage(["model.safetensors"], "x")] == ["python"]
