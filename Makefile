# The same targets for people, hooks and CI. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Images of containers like to set it: each of hundreds of processes then compiles our modules anew, a second of its start.
unexport PYTHONDONTWRITEBYTECODE

USE_CASE ?= fraud
ARGS ?=
DATA ?=
NEED ?= unit

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?= $(shell for p in python3.11 python3 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done)
comma := ,
NEEDS_MORE := spark or browser or servers
# A worker more than cores, since one often waits for its engine; about 3 GB each. A file to a worker; the dear files
# come first in the tree, so they start first.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
PARALLEL := -n $(WORKERS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder
LOCKS := requirements.lock requirements-serve.lock
RESOLVE := $(BIN)/uv pip compile pyproject.toml --generate-hashes --python-version 3.11 -q
EXPLORE := --hypothesis-profile=explore --timeout=0
# For each property, of `make explore`.
SECONDS ?= 60

.PHONY: help env run ui docs simulate doctor test test-one test-all test-rest test-needs explore lint format bench lock clean

help:
	@echo 'make run       build the whole lineage of a use case: USE_CASE=$(USE_CASE), more options through ARGS'
	@echo 'make ui        open the Dagster UI with the full lineage'
	@echo 'make docs      write the page of dbt about models and columns, which the UI links to'
	@echo 'make test      every test that needs only Python'
	@echo 'make test-one  those of one room: ROOM=drift'
	@echo 'make test-all  those, and the ones with Apache Spark, a browser and real servers'
	@echo 'make lint      ruff, mypy, import-linter (make format: let ruff format)'
	@echo 'make explore   new examples for each property, SECONDS=$(SECONDS) of them'
	@echo 'make bench     measure and print the figures of the docs; DATA=FILE for your copy of the data'
	@echo 'make lock      resolve pyproject.toml into $(LOCKS) again'
	@echo 'make clean     remove the environment and every cache, but no data'

env: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(if $(PYTHON),,echo 'Python 3.11 is missing: apt-get install python3.11 python3.11-venv, or set PYTHON=/path/to/python3.11' >&2; exit 1)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'venv is missing: apt-get install python3.11-venv' >&2; exit 1; }
	@echo 'Building $(VENV) from requirements.lock (a minute or two, once) ...'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^[^ #]/ { wanted = /^uv==/ } wanted' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m uv --version > /dev/null 2>&1 || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY)
	@$(BIN)/evergreen run --use-case $(USE_CASE) $(ARGS)

ui: $(READY)
	@$(BIN)/evergreen ui $(ARGS)

docs: $(READY)
	@$(BIN)/evergreen docs

simulate: $(READY)
	@$(BIN)/evergreen simulate $(ARGS)

doctor: $(READY)
	@$(BIN)/evergreen doctor $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest $(PARALLEL) -m 'not ($(NEEDS_MORE))' $(ARGS)

# The inner loop, seconds: unit tests of one room, `make test-one ROOM=drift`; NEED='*' adds engines, faults and e2e.
test-one: $(READY)
	@test -n '$(wildcard tests/*/$(or $(ROOM),-))' || { \
	  echo 'ROOM: expected one of $(sort $(notdir $(wildcard tests/unit/* tests/engines/*))), found $(ROOM)' >&2; exit 1; }
	$(BIN)/python -m pytest -n 0 -m 'not ($(NEEDS_MORE))' $(wildcard tests/$(NEED)/$(ROOM)) $(ARGS)

test-all: test-needs
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# What `make test` leaves out.
test-rest: test-needs
	$(BIN)/python -m pytest $(PARALLEL) -m '$(NEEDS_MORE)' $(ARGS)

# `make test` draws the same examples for everybody; what this one finds becomes a named @example of its property.
explore: $(READY)
	EVERGREEN_EXPLORE_SECONDS=$(SECONDS) $(BIN)/python -m pytest $(PARALLEL) $(EXPLORE) -m 'hypothesis and not ($(NEEDS_MORE))' $(ARGS)

test-needs: $(READY)
	@$(BIN)/python tools/check_test_needs.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	@failed=; for file in bench/{hostile,windows,schedule,online,decisions,point_in_time,scoring,tuning,gpu,gate,rollouts,rollouts_http,drift,replay,acting,off_policy,estimate,lineage,streams$(if $(DATA),$(comma)backtest$(comma)feature_search)}.py; do \
	  echo "== $$file"; $(BIN)/python $$file $(if $(DATA),--data $(DATA)) || failed="$$failed $$file"; \
	done; test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

lock: $(READY)
	@$(RESOLVE) --extra all --extra dev -o requirements.lock
	@$(RESOLVE) --extra serve --extra traces -c requirements.lock -o requirements-serve.lock
	@! grep -nE '://' $(LOCKS) || { echo '$(LOCKS) must name no host' >&2; exit 1; }

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
