# Everything a fresh machine needs is Python (3.11 or later), make and a package index that pip knows.
#
#   make demo       install, then run the LiF demo
#   make test       install, then the tests but the nightly ones
#   make test-all   install, then all tests
#   make docs       the documentation, warnings being errors
#   make lint       ruff and mypy
#
# Variables: PYTHON (the interpreter that makes the environment), VENV (where), TORCH (the requirement to install
# torch from), PIP_ARGS (more arguments for every pip install, an index for instance), CONSTRAINTS (the versions to take),
# PYTEST_ARGS (options of pytest; to run some files, call pytest).

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
PIP_ARGS ?=
CONSTRAINTS ?= constraints.txt
PYTEST_ARGS ?=

# The tests are two halves, which take about as long.
FIRST := tests/science tests/runtime tests/cli

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS)

.PHONY: help install demo test test-all docs lint clean

help:
	@sed -n '3,7s/^# *//p' Makefile

install: $(VENV)/.installed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "aiida-mlcc needs Python 3.11 or later: name one with make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The pip of an old Python resolves some pre-releases wrongly, so it is brought to the version of the constraints.
# torch goes first and alone, so that TORCH may name a CPU or CUDA build of the version the constraints ask for.
$(VENV)/.installed: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(PIP_INSTALL) --constraint $(CONSTRAINTS) --upgrade pip
	$(PIP_INSTALL) '$(TORCH)'
	$(PIP_INSTALL) --constraint $(CONSTRAINTS) --editable '.[runtime,tests]'
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(PIP_INSTALL) --constraint $(CONSTRAINTS) --editable '.[docs]'
	@touch $@

$(VENV)/.lint: $(VENV)/.installed
	$(PIP_INSTALL) --constraint $(CONSTRAINTS) ruff mypy
	@touch $@

demo: install
	$(BIN)/aiida-mlcc demo

# One thread: the arrays of tests are too small for more, which would only wait for each other. Two processes, each with
# a profile of its own: what the first one prints comes at its end. A shell starts it deaf to Ctrl-C, so the shell ends it.
# Compiled modules are kept, for the many processes that the tests start.
test: install
	@echo "$(FIRST) run beside the other tests, whose results come first"
	@log=$$(mktemp); first=; export OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=; \
	  trap '$${first:+kill $$first}; rm -f $$log' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; \
	  $(BIN)/python -m pytest -m 'not nightly' -p no:cacheprovider $(FIRST) $(PYTEST_ARGS) > $$log 2>&1 & first=$$!; \
	  $(BIN)/python -m pytest -m 'not nightly' $(FIRST:%=--ignore=%) $(PYTEST_ARGS); others=$$?; \
	  wait $$first; ended=$$?; first=; cat $$log; test $$ended = 0 && test $$others = 0

test-all: install
	OMP_NUM_THREADS=1 MLCC_PLAIN_AIIDA=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) docs/_build build dist .pytest_cache .mypy_cache .ruff_cache
