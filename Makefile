# Campana: `make demo` shows it at work, `make test` proves it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: help setup demo test check bench lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(STAMP) ## install everything into .venv; the program is .venv/bin/campana

$(STAMP): requirements/lock.txt requirements/uv.txt pyproject.toml scripts/setup.sh
	@scripts/setup.sh
	@touch $(STAMP)

demo: setup ## start Campana with the sandbox carriers and run a small campaign
	@$(BIN)/campana demo

test: setup ## every test, after the checks
	@$(MAKE) --no-print-directory check
	@$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

check: setup ## ruff, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## the benchmarks, each with its ceiling from the same run
	@$(BIN)/python -m benchmarks $(ARGS)

lock: setup ## resolve the dependencies again into the lock file with hashes
	@.tools/bin/uv pip compile pyproject.toml --all-extras --group dev --universal --generate-hashes \
	  --no-header --no-emit-index-url --no-annotate -p 3.11 -o requirements/lock.txt --upgrade --quiet

clean: ## remove what the commands above installed
	rm -rf .venv .tools
