# Campana: `make demo` shows it at work, `make test` proves it. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: help setup demo test check bench docs picture lock clean

help: ## this list
	@printf 'Campana: a self-hosted server for outbound notification campaigns.\n\n'
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nEach installs what it needs first: python3 (3.11 or later) has to be there, nothing else.\n'
	@printf 'ARGS="..." hands words on to demo, test and bench: make demo ARGS="--port 9000"\n'

setup: $(STAMP) ## install everything into .venv; the program is .venv/bin/campana

$(STAMP): requirements/lock.txt requirements/uv.txt pyproject.toml scripts/setup.sh
	@scripts/setup.sh
	@touch $(STAMP)

demo: setup ## start Campana with sandbox carriers and run a small campaign; Ctrl-C ends it
	@$(BIN)/campana demo $(ARGS)

test: setup ## the checks, then every test
	@$(MAKE) --no-print-directory check
	@scripts/test-packages.sh
	@$(BIN)/pytest -n 3 --dist loadgroup $(ARGS)

check: setup ## style (ruff), types (mypy), import contracts (import-linter)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## the benchmarks, each with its ceiling from the same run
	@$(BIN)/python -m benchmarks $(ARGS)

docs: setup ## write the tables of the documentation again, from the code
	@$(BIN)/python tests/house/pages.py

picture: setup ## draw docs/images/demo.svg again, from a real run of the demo
	@$(BIN)/python scripts/picture.py

lock: setup ## resolve the dependencies again into requirements/lock.txt, with hashes
	@.tools/bin/uv pip compile pyproject.toml --all-extras --group dev --universal --generate-hashes \
	  --no-header --no-emit-index-url --no-annotate -p 3.11 -o requirements/lock.txt --upgrade --quiet

clean: ## remove what the commands above installed
	rm -rf .venv .tools
