# Two commands: `make demo` (a promoter report on a simulated genome) and `make test`.
#   PYTHON=python3.12        interpreter to build .venv with (3.11 to 3.13)
#   TORCH_INDEX=https://...  package index to take torch from, for instance one with CPU-only wheels
#   CORES=2                  cores for the workflow and the tests
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
TORCH_INDEX ?=
CORES ?= 2
CONFIG ?= config/config.yaml
INSTALLED := .venv/.installed
TORCH := $(shell sed -n 's/^\(torch==.*\)/\1/p' constraints.txt)
NEEDED_GB := 6
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help demo run test test-slow test-gpu lint docs setup bedtools schema clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

demo: ## Install, run the workflow on the simulated genome, print where the report is
	@$(MAKE) --no-print-directory run CONFIG=config/config.yaml

run: setup ## Run the workflow with CONFIG=your.yaml
	@snakemake --cores $(CORES) --configfile $(CONFIG)
	@genocontrast report headline --config $(CONFIG)

test: setup lint docs ## Lint, format, types, workflow checks, documentation and the test suite (10 minutes)
	@pytest -n $(CORES) --dist loadfile --no-loadscope-reorder -m "not slow"

test-slow: setup ## The tests that run the workflow from beginning to end, kill it, and run it on Slurm (20 minutes)
	@pytest -m slow

test-gpu: setup ## Check the CUDA path on this machine's device; figures go to benchmarks/info_nce_cuda.json
	@.venv/bin/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { echo "error: torch sees no CUDA device; on a machine that has one, install a CUDA build of torch into .venv"; exit 1; }
	@pytest -m gpu
	@python benchmarks/info_nce.py --device cuda --million --json benchmarks/info_nce_cuda.json

lint: setup
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	snakefmt --check workflow
	hadolint Dockerfile
	snakemake --lint

docs: setup ## Build the documentation into site/; a warning is an error
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict

setup: $(INSTALLED) bedtools ## Install into .venv, with the linters; and bedtools

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) has no ensurepip; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@[ -e .venv ] || [ "$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1048576)}')" -ge $(NEEDED_GB) ] || { echo "error: less than $(NEEDED_GB) GB of disk are free in $$PWD"; exit 1; }
	@echo "installing into .venv (a few minutes the first time)"
	@[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv
	@$(if $(TORCH_INDEX),.venv/bin/python -m pip install --quiet --disable-pip-version-check --index-url $(TORCH_INDEX) $(TORCH))
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[workflow,report,notebook,dev]'
	@echo "compiling the comparison of motifs, once"
	@.venv/bin/python -c 'from genocontrast.evaluation import database, naming; known = database.read_motifs(database.shipped_selection()); naming.match_motifs([known[0].matrix], known)'
	@touch $@

bedtools:
	@command -v bedtools >/dev/null && exit 0; \
	install="apt-get update -qq && apt-get install -y -qq --no-install-recommends bedtools"; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing bedtools: $$install"; bash -c "$$install" >/dev/null; \
	elif command -v apt-get >/dev/null && command -v sudo >/dev/null; then \
	  echo "installing bedtools: sudo bash -c '$$install'"; sudo bash -c "$$install" >/dev/null; \
	fi; \
	command -v bedtools >/dev/null || { echo "error: bedtools is not on the PATH; install it with one of"; \
	  echo "  conda install -c bioconda bedtools"; echo "  sudo apt-get install bedtools"; exit 1; }

clean: ## Remove the demo's results and its genome; your own results and downloads stay
	rm -rf results/demo resources/simulated

schema: setup ## Write the JSON schema and config/README.md anew from the configuration model
	@python -c 'import json; from genocontrast.config import json_schema; print(json.dumps(json_schema(), indent=2, sort_keys=True))' > workflow/schemas/config.schema.json
	@{ sed '/^## Top level/,$$d' config/README.md; python -c 'from genocontrast.config import markdown; print(markdown(), end="")'; } > config/README.md.new && mv config/README.md.new config/README.md
