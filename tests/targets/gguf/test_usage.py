from targets.gguf.usage import usage


def test_llama_cpp_is_given_the_first_shard():
    names = ["model-00002-of-00002.gguf", "model-00001-of-00002.gguf", "manifest.json"]
    assert all("out/x/model-00001-of-00002.gguf" in step.code for step in usage(names, "out/x"))


def test_or_the_only_file():
    assert "llama-server -m out/x/model.gguf\n" in usage(["model.gguf"], "out/x")[0].code
