# `make up` brings the platform up on this machine, `make test` runs every test that can run here.
# `.venv` is made from pinned, hashed requirements by uv, which itself is pinned and hashed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help venv up down status test unit integration e2e pulumi lint fix hooks schema pins clean

help: ## list these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/.installed: requirements.txt requirements-dev.txt requirements-uv.txt pyproject.toml
	@echo "  Python packages into $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-uv.txt
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.txt requirements-uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q adapters components delivery local policies
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m local.engine --spare < /dev/null
	@touch $@

venv: $(VENV)/.installed ## the virtual environment, with the command in it

up: $(VENV)/.installed ## from a fresh machine to test, stage and prod serving, links printed
	@$(BIN)/slipway up --yes

down: $(VENV)/.installed ## all of it gone, its data too
	@$(BIN)/slipway down --delete-data --yes

status: $(VENV)/.installed ## what runs where
	@$(BIN)/slipway status

test: $(VENV)/.installed ## every test that can run on this machine
	@$(BIN)/python -m pytest --numprocesses=2 --dist=loadscope --no-loadscope-reorder --durations=20 $(PYTEST_ARGS)

unit: $(VENV)/.installed ## the tests that need no cluster
	@$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile tests/unit services $(PYTEST_ARGS)

integration: $(VENV)/.installed ## the tests against parts that really run, and those of the alert rules
	@$(BIN)/python -m pytest --numprocesses=2 --dist=loadscope tests/integration tests/rules $(PYTEST_ARGS)

e2e: $(VENV)/.installed ## the tests of a whole platform
	@$(BIN)/python -m pytest tests/e2e $(PYTEST_ARGS)

pulumi: $(VENV)/.installed ## the tests that need the Pulumi CLI
	@$(BIN)/python -m pytest -m pulumi_cli $(PYTEST_ARGS)

lint: $(VENV)/.installed ## code, types, import layers, YAML, workflows, Dockerfiles, secrets
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/yamllint --strict .
	@$(BIN)/zizmor --quiet --offline .
	@$(BIN)/python -m local.lint

fix: $(VENV)/.installed ## what the linters can mend by themselves
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

hooks: $(VENV)/.installed ## let git ask the linters before each commit
	@$(BIN)/pre-commit install

schema: $(VENV)/.installed ## schemas/stack.schema.json, made anew from components/settings.py
	@$(BIN)/python -m components.schema

pins: $(VENV)/.installed ## requirements*.txt, made anew from requirements*.in
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -o requirements.txt requirements.in
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -o requirements-dev.txt requirements.in requirements-dev.in
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -o local/scan/pip_audit/requirements.txt local/scan/pip_audit/requirements.in
	@echo uv | $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements-uv.txt -

clean: ## the virtual environment and caches of tools
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info
