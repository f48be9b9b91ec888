from targets.ipex.usage import usage


def test_every_runtime_is_given_the_folder():
    steps = usage(["model.safetensors"], "out/x")
    assert all("out/x" in step.code for step in steps)
    compile(steps[0].code, "usage", "exec")
