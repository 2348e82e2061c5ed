# One entry per task. Each sets up what it needs; a second run spends no time on that.
BIN := .venv/bin

.PHONY: help setup demo test lint audit bench format lock servers

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## Build .venv, so that .venv/bin/tieline works
	@scripts/setup.sh

demo: setup ## Join three centres on this machine and run real jobs on them
	@$(BIN)/tieline demo

# Lint goes first: it is quick, and the last line is then the summary of the tests. Meanwhile the
# servers that tests need are installed, where that may be done. Four at once on two cores: many
# tests wait for jobs and servers.
test: ## Run the checks and every test
	@$(MAKE) --no-print-directory -j 2 lint servers
	$(BIN)/pytest -n 4 --dist worksteal

lint: setup ## Check style, types, layers and dependencies
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive src
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry src
	$(BIN)/mypy

audit: setup ## Look for known faults of the libraries; asks a service on the internet
	$(BIN)/pip-audit --requirement requirements.lock --disable-pip

servers:
	@scripts/test_servers.sh

bench: setup servers ## Measure speed and memory
	$(BIN)/python benchmarks/all.py

format: setup ## Mend what the tools can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Keeps the versions it has; `make lock UPGRADE=--upgrade` takes the newest allowed ones.
# One set of versions for every Python: results do not depend on which one runs them.
lock: ## Write requirements.lock anew from pyproject.toml
	tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && \
	python3 -m venv "$$tools" && "$$tools/bin/pip" install --quiet uv==0.13.9 && \
	"$$tools/bin/uv" pip compile pyproject.toml --group dev --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet $(UPGRADE) \
		--output-file requirements.lock
