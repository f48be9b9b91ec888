from targets.onnx.usage import usage


def test_the_session_is_given_the_graph():
    (step,) = usage(["model.onnx"], "out/x")
    assert "out/x/model.onnx" in step.code
    compile(step.code, "usage", "exec")
