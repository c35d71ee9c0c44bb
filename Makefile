# CORES: jobs at a time. CONFIG: a config laid over config/config.yaml. PYTHON: what .venv is made with.
# RESULTS: the folder of results that is checked.
# BASE: the revision that benchmarks are compared with. ONLY: words in their names, such as "compact and step".
CORES ?= 2
CONFIG ?=
BASE ?=
RESULTS ?= results
ONLY ?=
PYTHON ?= python3
UV ?= uv

# Snakemake looks for jobs to start after every such span, 1 s by default, and once more for every job that has ended.
UNHURRIED = --max-jobs-per-timespan 1000/2s
# Progress as a panel where somebody looks; Snakemake's own log is in .snakemake/log in any case.
PROGRESS = $(shell test -t 2 && echo --logger rich)
SNAKEMAKE = snakemake --cores $(CORES) --rerun-incomplete $(UNHURRIED) $(if $(CONFIG),--configfile $(CONFIG))
# Snakemake removes its lock unless it was killed, or another one holds it; it says no more than that there is one.
WHERE_LOCKED = ! ls .snakemake/locks/* > /dev/null 2>&1 || echo "error: .snakemake/locks: a run is still going here, or was killed; if none is going: .venv/bin/snakemake --unlock, then the same command goes on where it stopped"
INSTALLED = .venv/.installed
TESTS_INSTALLED = .venv/.tests-installed
COMPILE = $(UV) pip compile pyproject.toml --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header
# uv, where it is there, takes seconds for what takes pip a minute. Neither compiles
# bytecode, which Python does for the modules that it imports.
HAS_UV := $(shell command -v $(UV))
INSTALL = $(if $(HAS_UV),$(UV) pip install --python .venv,.venv/bin/python -m pip --disable-pip-version-check install --no-compile)

# Tools call one another by name (snakefmt calls shfmt), so .venv comes first even where it is not activated.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup run test test-changed test-slow test-slurm bench bench-compare report explore dag readme check-results schema docs release lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "docs/guides/workflow.md lists single studies and figures, and tools to run by hand."

setup: $(INSTALLED) ## Make .venv with the locked packages (PYTHON=python3.11 picks the interpreter)

$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "error: no $(PYTHON) here; run: make setup PYTHON=<Python 3.11 or newer>"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: $(PYTHON) is Python " + sys.version.split()[0] + "; run: make setup PYTHON=<Python 3.11 or newer>")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(TESTS_INSTALLED): $(INSTALLED) requirements-test.lock
	$(INSTALL) --require-hashes -r requirements-test.lock
	@touch $@

run: setup ## Run the study (CORES=2, CONFIG=config/smoke.yaml for another one)
	$(if $(CONFIG),@python -m workflow.folders $(CONFIG))
	$(SNAKEMAKE) $(PROGRESS) || { $(WHERE_LOCKED); exit 1; }

test: $(TESTS_INSTALLED) ## Run every fast check: formatting, lint, types, import contracts, tests
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	python -m pytest

test-changed: $(TESTS_INSTALLED) ## Check formatting and lint, and run the tests that edits since BASE=main concern
	ruff format --check .
	ruff check .
	@tests=$$(python .ci/changed.py $(BASE)) && { [ -z "$$tests" ] || python -m pytest $$tests; }

test-slow: $(TESTS_INSTALLED) ## Run the slow tests, which `make test` leaves out
	python -m pytest -m slow

test-slurm: $(TESTS_INSTALLED) ## Run the smallest study on a Slurm cluster that is started for it (needs slurm-wlm and munge)
	$(INSTALL) snakemake-executor-plugin-slurm
	python -m pytest -n 0 -s -m slow tests/slurm

bench: $(TESTS_INSTALLED) ## Measure speed, memory and compilation of the learned rules; nothing else should run beside it
	python -m benchmarks.run $(if $(ONLY),--only "$(ONLY)")

bench-compare: $(TESTS_INSTALLED) ## Measure them and those of another revision in turn (BASE=HEAD~1)
	python -m benchmarks.run --base "$(BASE)" $(if $(ONLY),--only "$(ONLY)")

report: run ## Run the study and gather its results into one self-contained HTML file
	$(SNAKEMAKE) --report results/report.html

dag: setup ## Write the graph of rules as Mermaid to results/dag.mmd
	@mkdir -p results
	$(SNAKEMAKE) --rulegraph mermaid-js > results/dag.mmd

explore: setup ## Make the page on which networks learn, docs/explore/index.html, and a still of it in docs/images
	$(SNAKEMAKE) explore --configfile config/explore.yaml
	@mkdir -p docs/explore docs/images
	cp results/studies/explored/explore.html docs/explore/index.html
	cp results/studies/explored/explore.png docs/images/explore.png

readme: run dag ## Run the study, publish what it found, and make all tables and pictures of README.md and docs/ anew
	cp results/studies/default/summary.nc results/published/default.nc
	cp results/comparison.md results/published/comparison-default.md
	python -m workflow.readme results/dag.mmd
	python -m workflow.pictures docs/images
	python -m workflow.notebooks

check-results: setup ## Compare every result with the checksum it was written with (RESULTS=results)
	python -m metaplastic.tools.check_results $(RESULTS)

schema: $(TESTS_INSTALLED) ## Regenerate config/schema.json, the reference in docs/config and docs/bad-input.md
	python -m metaplastic.config.schema config
	PYTHONPATH=. python tests/bad_inputs.py docs/bad-input.md

docs: setup ## Build the site of the documentation into site/, with no warning left
	$(INSTALL) --quiet --require-hashes -r requirements-docs.lock
	mkdocs build --strict

release: test docs ## Check that a release is whole, build it into dist/ and tag it
	python .ci/release.py

lock: ## Resolve requirements.lock anew (needs uv), then those of tests, the container with CUDA and the site beside it
	$(COMPILE) --extra workflow -o requirements.lock
	$(COMPILE) --extra workflow --extra test --constraints requirements.lock -o requirements-test.lock
	$(COMPILE) --extra workflow --extra cuda --constraints requirements.lock -o requirements-cuda.lock
	$(COMPILE) --extra docs --constraints requirements.lock -o requirements-docs.lock

clean: ## Remove results, caches and .venv, but no raw downloads and not what is published
	rm -rf .venv site dist .cache .snakemake .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find results -mindepth 1 -maxdepth 1 ! -name .gitkeep ! -name published -exec rm -rf {} +
