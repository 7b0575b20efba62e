# The front door. Every command sets up what it needs; each is enough alone on a fresh machine.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
.PHONY: help setup demo test test-unit test-compat thorough schedules check check-lite fix up docs clean lock wheel

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with everything in it (done by the others too)
	@tools/setup.sh

demo: setup ## Run the whole pipeline as an Airflow DAG run; RAW=path takes your own drop, PROFILE=aws shapes it as on AWS
	@$(BIN)/lakehouse demo $(if $(RAW),--raw "$$RAW") $(if $(PROFILE),--profile "$$PROFILE")

test: setup ## Run every test that needs no cloud account
	@# A badly formatted line must not hide what the tests say, so both are run.
	@status=0; $(MAKE) --no-print-directory check-lite || status=1; $(BIN)/python -m pytest || status=1; exit $$status

test-unit: setup ## Run the tests that need neither Spark nor Airflow's database
	@$(BIN)/python -m pytest tests/unit tests/contract

test-compat: setup ## Install the wheel into Airflow 2.11 to 3.x as MWAA pins them, and test it there; AIRFLOW=2.11.2 takes one
	@$(BIN)/python tools/compat.py $(AIRFLOW)

thorough: setup ## Run the tests that take too long for every day: storms on Glue and S3, versitygw
	@$(BIN)/python -m pytest -m thorough

schedules: setup ## Try a hundred random fault schedules; FAULT_SCHEDULES=N tries another number
	@FAULT_SCHEDULES=$${FAULT_SCHEDULES:-100} $(BIN)/python -m pytest -q -m "thorough or not thorough" tests/faults/test_schedules.py

check: check-lite ## Format, lint, import rules, types, house rules
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/contract

check-lite: setup ## Format, lint, import rules and generated files: what takes seconds
	@$(BIN)/ruff format --quiet --check . || { echo "run 'make fix'" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/lakehouse docs --check

fix: setup ## Format and mend what the linter can mend
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

up: setup ## Start Airflow with the example DAG; Ctrl-C stops it
	@$(BIN)/lakehouse up

docs: setup ## Write the generated reference pages
	@$(BIN)/lakehouse docs

lock: ## Resolve the constraints for what pyproject.toml says
	@tools/lock.sh

wheel: setup ## Build the wheel
	@$(BIN)/python -m hatchling build -t wheel

clean: ## Remove what the commands above made, except .venv
	@rm -rf .lakehouse dist build dbt_example/target dbt_example/logs .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
