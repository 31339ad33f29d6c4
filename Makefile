# The commands of the README. Everything is installed into .venv from requirements.lock.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: install run test test-all test-rest test-more bench ui lint spark lock

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

run: install
	$(BIN)/mm-pipeline run

WORKERS ?= 2
TESTS := mm_pipeline_tests
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

# Minutes, and nothing but Python is needed.
test: install
	$(PYTEST) -m "not slow" $(TESTS)/unit $(TESTS)/properties $(TESTS)/dagster

# Everything; what is not installed is skipped, with the reason.
test-all: install
	$(PYTEST) --hypothesis-profile=full

# What "make test" leaves out: with it, everything.
test-rest: install
	$(PYTEST) --hypothesis-profile=full -m "slow or hypothesis or properties or faults or browser or engines"

# Random examples that no run has drawn before.
test-more: install
	$(PYTEST) --hypothesis-profile=full_others $(TESTS)/properties

# One tier: make test-unit, test-properties, test-dagster, test-faults, test-browser, test-engines
test-%: install
	$(PYTEST) --hypothesis-profile=full $(TESTS)/$*

bench: install
	$(BIN)/python -m benchmarks

ui: install
	$(BIN)/mm-pipeline ui

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# PySpark is large and built on arrival; only its tests and its users need it.
spark: install
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-spark.lock

LOCK := uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header

# Needs uv. Writes no address of a package registry into the files.
lock:
	$(LOCK) --extra dev --extra postgres --output-file requirements.lock pyproject.toml
	echo 'pyspark>=4,<4.1' | $(LOCK) --constraint requirements.lock --output-file requirements-spark.lock -
