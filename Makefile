# `make demo` and `make test` are the first two commands of a fresh clone; both set up what they need.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test test-slow test-arm lint models docs bench bench-peers clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	CMAKE_BUILD_PARALLEL_LEVEL=$${CMAKE_BUILD_PARALLEL_LEVEL:-$$(nproc)} $(BIN)/pip install --quiet --editable '.[dev]' --constraint constraints.txt
	touch $@

demo: setup
	rm -rf out/demo
	HF_HUB_OFFLINE=1 $(BIN)/convert run golden/models/tiny-llama --recipe three-ways --prompts golden/models/tiny-llama/prompts.txt --out out/demo

test: setup
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --max-worker-restart 0

test-slow: setup models
	$(BIN)/python -m pytest -m slow

# ggml's Arm kernels under emulation; it names the Debian packages that it needs.
test-arm: setup
	$(BIN)/python -m tests.arm.build
	$(BIN)/python -m pytest -m slow tests/arm

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site, in site/.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

models: setup
	$(BIN)/python -m bench.fetch_models

# A table of Tricast beside cp and the peers that bench-peers installed; needs 10 GB free in /dev/shm.
bench: setup models
	HF_HUB_OFFLINE=1 $(BIN)/python -m bench.conversions

bench-peers: setup
	$(BIN)/python -m bench.peers

clean:
	rm -rf $(VENV) out build *.egg-info
