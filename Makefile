# Every target sets up what it needs: see .ci/setup.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
export VENV

.DEFAULT_GOAL := help
.PHONY: help setup full demo test quick lint verify bless bench deep clean

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

setup: ## make this clone ready: system tools, virtual environment, dependencies
	@PYTHON=$(PYTHON) .ci/setup $(VENV)

full: ## the same with nbgrader, JupyterLab and a browser, which some tests use
	@PYTHON=$(PYTHON) .ci/setup $(VENV) dev,jupyter,browser

demo: setup ## grade the sample class of the pipeline lab and show the class and a report
	@$(BIN)/proclab grade pipeline tests/samples/pipeline --out demo-grades
	@echo
	@$(BIN)/proclab report demo-grades/reports/linus.json | head -60

test: lint ## prove everything: style, types, layers, tests, every lab, generated files
	$(BIN)/python -m pytest -q -n auto --ignore tests/tamper
	$(BIN)/python -m pytest -q tests/tamper
	$(BIN)/proclab verify

quick: setup ## the tests that need no sandbox
	$(BIN)/python -m pytest -q -n auto tests/content tests/reporting

lint: full ## style, types and layers only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

verify: setup ## prove every lab: solutions, variants and mutants
	$(BIN)/proclab verify

bless: setup ## accept the messages as they are now (read the difference before you commit it)
	BLESS=1 $(BIN)/python -m pytest -q tests/reporting

bench: setup ## overhead of grading against the bare runs, and throughput by cores
	$(BIN)/python tests/bench/overhead.py

deep: setup ## what is long by nature: 170 gradings of every program on a loaded machine
	$(BIN)/python tests/bench/flips.py --runs 170

clean: ## take away what can be made again
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-grades grades
