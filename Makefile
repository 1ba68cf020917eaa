# Two commands for a newcomer: make demo, make test. Each makes the virtual environment first.
.DEFAULT_GOAL := help
.PHONY: help install demo test soak lint types imports docs check golden screenshots chromium wheel bench clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# uv where it is present (it is faster), else venv and pip.
$(READY): pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
		uv pip install --quiet --python $(BIN)/python --group dev --editable .; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --editable .; \
	fi
	@touch $(READY)

install: $(READY) ## Make the virtual environment

demo: $(READY) ## Watch a pipeline run, pause, resume and finish
	@$(BIN)/mageflow demo

# Two processes, each with a server of its own: the tests wait more than they compute.
test: $(READY) ## Run the tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

soak: $(READY) ## Break things for MINUTES=20, then run EXAMPLES=1000 random trees
	MINUTES=$(or $(MINUTES),20) $(BIN)/python -m pytest tests/acceptance/test_faults.py
	EXAMPLES=$(or $(EXAMPLES),1000) $(BIN)/python -m pytest tests/acceptance/test_reference_model.py

lint: $(READY) ## Check style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## Check types
	$(BIN)/pyright

imports: $(READY) ## Check which room may import which
	$(BIN)/lint-imports

# The theme announces its successor on each run; that is no warning about these pages.
docs: $(READY) ## Build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: lint types imports docs test ## All of the above: what CI runs

golden: $(READY) ## Record the histories that later versions must replay
	$(BIN)/python -m tests.golden.record

wheel: $(READY) ## Build the wheel, and use it as somebody does who installs it
	$(BIN)/python -m tests.wheel

screenshots: $(READY) ## Take the pictures in docs/images
	$(BIN)/python -m tests.web.screenshots

chromium: ## Install the browser for the tests of the Web UI, where there is none (Debian, Ubuntu; as root)
	@command -v chromium >/dev/null || { apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes chromium; }

bench: $(READY) ## Measure against hand-written workflows
	$(BIN)/python -m bench

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) site .pytest_cache .ruff_cache .import_linter_cache
