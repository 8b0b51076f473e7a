# What people type. `make demo` and `make test` set everything up themselves.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Setuptools warns at length of any editable installation.
PIP := PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet -c constraints.txt
# The slice of engines that the default tests run on: the first, the first fixed, the newest.
ENGINES := 0.5.12 0.5.13.post1 0.5.23
ALL_ENGINES := 0.5.12 0.5.12.post1 0.5.13 0.5.13.post1 0.5.14 0.5.15 0.5.15.post1 0.5.16 0.5.17 0.5.18 \
	0.5.19 0.5.20 0.5.21 0.5.22 0.5.23

.DEFAULT_GOAL := help
.PHONY: help setup dev engines demo test test-slow test-matrix lint mutants soak faults bench docs clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/.sanitree: pyproject.toml constraints.txt
	@echo "setting up $(VENV): sanitree and torch (about a minute, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	@$(PIP) --editable .
	@touch $@

$(BIN)/.dev: $(BIN)/.sanitree
	@echo "adding what development needs"
	@$(PIP) --group dev --editable ".[explore]"
	@touch $@

setup: $(BIN)/.sanitree  ## a virtual environment with sanitree in it
dev: $(BIN)/.dev  ## the same with what development needs

engines: setup  ## what the tests' engines need: wheels and their dependencies, in the cache folder
	$(BIN)/sanitree engine setup
	$(BIN)/sanitree engine fetch $(ENGINES)

demo: setup  ## the main job: a real bug, live and offline
	$(BIN)/sanitree engine setup
	$(BIN)/sanitree engine fetch 0.5.12 0.5.13.post1
	$(BIN)/sanitree demo

lint: dev  ## ruff and strict mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=.typing $(BIN)/mypy

test: dev engines lint  ## lint, and the tests on a slice of real engines
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: dev engines  ## the tests that take minutes
	$(BIN)/python -m pytest -n 2 -m slow

test-matrix: dev  ## every engine version, policy, component set, page size and core
	$(BIN)/sanitree engine setup
	$(BIN)/sanitree engine fetch $(ALL_ENGINES)
	$(BIN)/python -m tests.live.matrix
	$(BIN)/python -m tests.hook.matrix

mutants: dev  ## mutates every rule; prints the mutants that no test would notice
	$(BIN)/python -m tests.mutation

soak: dev  ## the state machines for long, with floors on what they must have met
	$(BIN)/python -m tests.reference.soak

faults: dev  ## every fault of the reference cache, and the rule that finds it: writes docs/faults.md
	$(BIN)/python -m tests.reference.find_faults --write

bench: dev engines  ## checks and operations next to the engine's own, as ratios
	$(BIN)/python -m tests.bench

docs: dev  ## builds the pages into site/
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict

clean:  ## removes what make made here
	rm -rf $(VENV) build site demo-snapshots *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
