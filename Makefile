# make demo   set up, train a small GPT on real text, show what it writes
# make test   set up, run all tests
# Both install into .venv in this folder; neither needs root or a compiler.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# One BLAS thread per process: ranks share the cores, and results repeat bit for bit.
export OPENBLAS_NUM_THREADS := 1
export MPLBACKEND := Agg

.PHONY: demo test lint bench clean

demo: $(VENV)/.run
	$(BIN)/minipar train --preset tiny --out runs/demo
	@echo "Pictures, metrics and checkpoints are in runs/demo"

test: $(VENV)/.dev
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check --line-length 132 --select E,F,W,I,B,UP,SIM --ignore SIM108 .
	$(BIN)/mypy minipar

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/step.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/pip install --quiet --editable ".[mpi]"
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install --quiet --editable ".[mpi,test,dev]"
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
