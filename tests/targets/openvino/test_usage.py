from targets.openvino.usage import usage


def test_the_pipeline_is_given_the_folder():
    steps = usage(["openvino_model.xml", "openvino_tokenizer.xml"], "out/x")
    assert "LLMPipeline('out/x', \"CPU\")" in steps[0].code
    compile(steps[0].code, "usage", "exec")


def test_pipelines_run_no_ranks_and_want_a_tokenizer():
    assert usage(["rank0/openvino_model.xml", "openvino_tokenizer.xml"], "x") == ()
    assert usage(["openvino_model.xml"], "x") == ()
