# The doors of the house. Each sets up what it needs; .ci/run uses the same ones.

VENV   ?= .venv
BIN    := $(VENV)/bin
# The tests start hundreds of processes: compiling everything anew in each takes a quarter of them.
unexport PYTHONDONTWRITEBYTECODE
ARGS   ?=
# The first Python that is new enough and can make a virtual environment; 3.11 is what CI runs.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
            $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
              >/dev/null 2>&1 && { echo $$p; break; }; done)
# Files of tests run beside each other, one more than there are cores: a quarter of the time they
# wait for processes of their own (on two cores 5:27 by two, 4:43 by three). In the order of their
# names: pytest-xdist would begin with the many tests, and end with the few that are long.
CORES  := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
BESIDE ?= -n $(shell echo $$(($(CORES) + 1))) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# Servers and browsers of their own each, and bounds on time: one for each core.
BESIDE_LIVE ?= -n 2 --dist loadfile
UV     ?= $(shell command -v uv || ls $(BIN)/uv 2>/dev/null)

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
# Wheels only, no build isolation (the build backend is locked too), and no resolving: everything is
# locked, and pip would weigh a newer release against a pin that is named with an extra.
LOCKED  := $(INSTALL) --no-deps --only-binary :all: --require-hashes
HERE    := $(INSTALL) --no-deps --no-build-isolation --editable .
COMPILE := $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 \
           --generate-hashes --no-emit-index-url --no-emit-find-links \
           --custom-compile-command "make lock" --group build

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test prove lint types floors unit live core-coverage mutants lock web dev clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run-ready ## set up, then the demo: two real models, a waterfall, a table (ARGS="--exit")
	@$(BIN)/waterfall demo $(ARGS)

test: lint types floors unit ## set up, then everything quick: lint, types, floors, tests

prove: dev ## the slow proofs; their figures go into docs/
	@$(BIN)/python -m loadtests.prove $(ARGS)

lint: dev ## ruff: rules and format
	@echo "· lint"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .

types: dev ## mypy --strict
	@echo "· types"
	@$(BIN)/mypy

floors: dev ## who may import whom
	@echo "· floors"
	@$(BIN)/lint-imports --no-cache --no-logo

unit: dev ## the tests that need no server but their own (ARGS goes to pytest)
	@echo "· tests"
	@$(BIN)/pytest $(BESIDE) $(ARGS)

live: dev ## the tests against real servers and clients
	@echo "· live tests"
	@$(BIN)/pytest -m "live and not slow" $(BESIDE_LIVE) $(ARGS)

core-coverage: dev ## gateway/core, wholly covered by its own tests
	@echo "· coverage of the core by its own tests"
	@$(BIN)/pytest tests/core --cov=gateway.core --cov-branch --cov-fail-under=100 $(ARGS)

mutants: dev ## one wrong version of each of next_step's rules; the tests must notice
	@echo "· mutants"
	@$(BIN)/python tests/mutants/run.py

lock: ## pin every dependency again, with hashes (needs uv; ARGS=--upgrade for newer ones)
	@[ -n "$(UV)" ] || { echo "make lock needs uv: $(BIN)/pip install uv" >&2; exit 1; }
	@echo "· requirements.lock"
	@$(COMPILE) $(ARGS) --extra demo --extra http2 --extra postgres --extra redis \
	  --output-file requirements.lock
	@echo "· requirements-dev.lock"
	@$(COMPILE) $(ARGS) --extra demo --extra http2 --extra otlp --extra parquet --extra postgres \
	  --extra redis --extra train --extra dev \
	  --constraint requirements.lock --no-annotate --output-file requirements-dev.lock

web: ## build the dashboard anew from its sources (needs node; what it makes is committed)
	@echo "· the dashboard"
	@npm --prefix gateway/dashboard/web ci --silent
	@npm --prefix gateway/dashboard/web run --silent build

clean: ## back to a fresh clone
	@rm -rf $(VENV) build dist *.egg-info .coverage .hypothesis .import_linter_cache
	@rm -rf .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------ setting up

dev: $(VENV)/.dev-ready

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { \
	  echo "Waterfall needs Python 3.11 or newer with venv and pip; none was found." >&2; \
	  echo "Install one (Debian: apt install python3 python3-venv) or say where: make PYTHON=..." >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit( \
	  "Waterfall needs Python 3.11 or newer; $(PYTHON) is %d.%d. Say where one is: make PYTHON=..." % v[:2])'
	@echo "· a virtual environment in $(VENV), by $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.run-ready: requirements.lock pyproject.toml | $(BIN)/python
	@echo "· the locked dependencies (a minute or two, the first time)"
	@$(LOCKED) -r requirements.lock
	@echo "· waterfall itself"
	@$(HERE)
	@touch $@

# What the tests need is what a run needs and more, so it makes both ready.
$(VENV)/.dev-ready: requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "· the locked dependencies, tools included (a minute or two, the first time)"
	@$(LOCKED) -r requirements-dev.lock
	@echo "· waterfall itself"
	@$(HERE)
	@touch $(VENV)/.run-ready $@
